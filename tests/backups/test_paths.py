"""BACKUP_ROOTS: who may name what, and that all refusals look alike."""

from pathlib import Path

import pytest

from app.backups.paths import allowed_folders, checked
from app.core.errors import Invalid


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("roots/ada/phone", "roots/bob/phone", "elsewhere/phone"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "roots/ada/out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "roots/ada/bobs").symlink_to(tmp_path / "roots/bob/phone")
    (tmp_path / "roots/ada/mine").symlink_to(tmp_path / "roots/ada/phone")
    (tmp_path / "roots/ada/circle").symlink_to(tmp_path / "roots/ada/circle")
    (tmp_path / "roots/eve").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "roots"


@pytest.mark.parametrize(
    "path",
    [
        "bob/phone", "ada/../bob/phone", "ada/out/phone", "ada/bobs", "ada/missing", "ada", ".",
        "ada/circle", "../elsewhere/phone", "ada/\0", "ada/" + "x" * 300, "ada/" + "x/" * 3000,
    ],
)  # fmt: skip
def test_what_a_user_may_not_name(root: Path, path: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked(f"{root}/{path}", allowed_folders([root], "ada"))

    assert (refused.value.code, str(refused.value)) == (
        "path_refused",
        "There is no backup of yours at this path.",
    )


@pytest.mark.parametrize("path", ["ada/phone", "ada/mine", "ada/phone/.", "ada/../ada/phone"])
def test_what_a_user_may_name(root: Path, path: str) -> None:
    real = checked(f"{root}/{path}", allowed_folders([root], "ada"))

    assert real == (root / "ada/phone").resolve()


def test_an_admin_may_name_everything_below_a_root(root: Path) -> None:
    folders = allowed_folders([root], None)

    assert checked(f"{root}/bob/phone", folders) == (root / "bob/phone").resolve()
    for path in (f"{root}/ada/out/phone", str(root), "/etc", "bob/phone", ""):
        with pytest.raises(Invalid):
            checked(path, folders)


@pytest.mark.parametrize("name", ["", ".", "..", "../bob", "ada/phone", "a\0", "a\\b"])
def test_a_name_that_leads_somewhere_opens_nothing(root: Path, name: str) -> None:
    assert allowed_folders([root], name) == []


def test_a_users_folder_that_is_a_link_opens_nothing(root: Path) -> None:
    with pytest.raises(Invalid):
        checked(f"{root}/eve/phone", allowed_folders([root], "eve"))


def test_a_root_may_itself_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)

    real = checked(f"{tmp_path}/link/ada/phone", allowed_folders([tmp_path / "link"], "ada"))

    assert real == (root / "ada/phone").resolve()
