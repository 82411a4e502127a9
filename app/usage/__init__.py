"""Token reservations: what workspaces may use, have reserved and have used, day by day."""
