"""What a row of `message` is: its kind, the event it reports, the effect it was sent with.

Source: docs/formats.md, Messages.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from app.backups.parsers.message_records import GroupEvent

KINDS = (
    "text",
    "attachment",  # with or without words
    "audio",
    "sticker",  # placed on a bubble
    "link",  # an address with a preview
    "app",
    "poll_vote",
    "group_event",
    "location_share",
    "audio_kept",
    "shareplay",
    "other",
)


class RawMessage(NamedTuple):
    """The rowid, then the columns wanted, of one row; or of a batch, each as a tuple of cells.

    SQLite ignores the case of their names.
    """

    rowid: Any
    guid: Any
    text: Any
    attributedbody: Any
    handle_id: Any
    subject: Any
    service: Any
    error: Any
    date: Any
    is_from_me: Any
    is_audio_message: Any
    item_type: Any
    other_handle: Any
    group_title: Any
    group_action_type: Any
    share_status: Any
    associated_message_type: Any
    balloon_bundle_id: Any
    payload_data: Any
    expressive_send_style_id: Any
    message_summary_info: Any
    thread_originator_guid: Any
    date_edited: Any
    date_retracted: Any
    destination_caller_id: Any
    account: Any


_STICKER, _POLL_VOTE = 1000, 4000  # associated_message_type; 2000-3999 are reactions
_ITEM_KINDS = {
    1: "group_event",
    2: "group_event",
    3: "group_event",
    4: "location_share",
    5: "audio_kept",
    6: "shareplay",
}
_GROUP_ACTIONS = {
    0: "participant_left",
    1: "icon_changed",
    2: "icon_removed",
    4: "background_set",
    6: "background_removed",
}
_EFFECTS = {
    "com.apple.MobileSMS.expressivesend.impact": "impact",
    "com.apple.MobileSMS.expressivesend.loud": "loud",
    "com.apple.MobileSMS.expressivesend.gentle": "gentle",
    "com.apple.MobileSMS.expressivesend.invisibleink": "invisible_ink",
    "com.apple.messages.effect.CKConfettiEffect": "confetti",
    "com.apple.messages.effect.CKEchoEffect": "echo",
    "com.apple.messages.effect.CKFireworksEffect": "fireworks",
    "com.apple.messages.effect.CKHappyBirthdayEffect": "happy_birthday",
    "com.apple.messages.effect.CKHeartEffect": "heart",
    "com.apple.messages.effect.CKLasersEffect": "lasers",
    "com.apple.messages.effect.CKShootingStarEffect": "shooting_star",
    "com.apple.messages.effect.CKSparklesEffect": "sparkles",
    "com.apple.messages.effect.CKSpotlightEffect": "spotlight",
}


def kind_of(raw: RawMessage, *, has_files: bool) -> str:
    """One of `KINDS`."""
    if raw.item_type:
        return _ITEM_KINDS.get(raw.item_type, "other")
    if raw.associated_message_type == _STICKER:
        return "sticker"
    if raw.associated_message_type == _POLL_VOTE:
        return "poll_vote"
    if raw.balloon_bundle_id:
        return "link" if is_link(raw) else "app"
    if raw.is_audio_message:
        return "audio"
    return "attachment" if has_files else "text"


def is_link(raw: RawMessage) -> bool:
    """Whether the message is an address with a preview."""
    return str(raw.balloon_bundle_id).endswith("URLBalloonProvider")


def effect_of(style: object) -> str | None:
    """Name of the effect a message was sent with; an unknown one keeps Apple's identifier."""
    return _EFFECTS.get(style, style) if style and isinstance(style, str) else None


def event_of(raw: RawMessage, handle: Callable[[object], str | None]) -> GroupEvent:
    """What a row with an item_type reports; `handle` turns a handle's rowid into an address."""
    who = handle(raw.other_handle)
    if raw.item_type == 1:
        what = "participant_removed" if raw.group_action_type == 1 else "participant_added"
        same = raw.other_handle == raw.handle_id != 0
        return GroupEvent("number_changed" if same else what, who, None)
    if raw.item_type == 2:
        title = raw.group_title if isinstance(raw.group_title, str) else None
        return GroupEvent("group_renamed", None, title)
    if raw.item_type == 3:
        return GroupEvent(_GROUP_ACTIONS.get(raw.group_action_type, "group_changed"), who, None)
    if raw.item_type == 4:
        what = "location_stopped" if raw.share_status == 1 else "location_started"
        return GroupEvent(what, who, None)
    return GroupEvent(_ITEM_KINDS.get(raw.item_type, f"item_{raw.item_type}"), who, None)
