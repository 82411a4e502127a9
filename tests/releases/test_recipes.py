"""The operator's file: what is read from it, and what is refused, with the line."""

from pathlib import Path

import pytest

from app.core.errors import Invalid
from app.releases.recipes import read_recipe

GOOD = '[recipes.site]\ncommand = ["make"]\nartifacts = "dist/**"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recipes.toml"


def test_a_recipe_has_the_defaults_of_the_contract(path: Path) -> None:
    path.write_text(GOOD)

    recipe = read_recipe(path, "site")

    assert recipe.command == ("make",)
    assert recipe.artifacts == ("dist/**",)
    assert (recipe.timeout, recipe.keep, recipe.health_check, recipe.env) == (1800, 5, None, {})
    for ref in (None, "v1.0", "feature/x_y-z", "a" * 100):
        recipe.check_ref(ref)
    for ref in ("", "a b", "a..b", "../x", "a\n", "$(id)", "a" * 101, "ä", "a\0"):
        with pytest.raises(Invalid) as refused:
            recipe.check_ref(ref)
        assert refused.value.code == "bad_ref"


def test_a_pattern_of_its_own_never_lets_two_dots_through(path: Path) -> None:
    path.write_text(GOOD + 'ref_pattern = ".*"\n')
    recipe = read_recipe(path, "site")

    recipe.check_ref("anything & all")
    for ref in ("a..b", "a\0b", "x" * 256):
        with pytest.raises(Invalid):
            recipe.check_ref(ref)


BROKEN = {
    "syntax": (GOOD + "keep = \n", "line 4"),
    "no command": ('\n[recipes.site]\nartifacts = "x"\n', "line 2: recipes.site.command"),
    "a shell string": (GOOD.replace('["make"]', '"make site"'), "line 2: recipes.site.command"),
    "no words": (GOOD.replace('["make"]', "[]"), "line 2"),
    "a NUL": (GOOD.replace("make", "ma\\u0000ke"), "line 2"),
    "way up": (GOOD.replace("dist/**", "../secret"), "line 3: recipes.site.artifacts: must lie"),
    "absolute": (GOOD.replace("dist/**", "/etc/passwd"), "line 3"),
    "unknown key": (GOOD + "\nshell = true\n", "line 5: recipes.site.shell"),
    "wrong type": (GOOD + 'timeout = "long"\n', "line 4: recipes.site.timeout"),
    "endless": (GOOD + "timeout = inf\n", "line 4"),
    "reserved": (GOOD + 'env = { HOME = "/root" }\n', "line 4: recipes.site.env: 'HOME' cannot"),
    "pattern": (GOOD + 'ref_pattern = "("\n', "line 4"),
    "workdir": (GOOD + 'workdir = "a/../.."\n', "line 4"),
    "another one": (GOOD + '[recipes.api]\ncommand = ["x"]\nartifacts = 3\n', "line 6"),
    "no table": ("recipes = 3\n", "must be a table"),
    "name": (GOOD.replace("recipes.site", 'recipes."a b"'), "'a b' is no name"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_with_the_line(path: Path, name: str) -> None:
    text, told = BROKEN[name]
    path.write_text(text)

    with pytest.raises(Invalid) as refused:
        read_recipe(path, "site")

    assert refused.value.code == "broken_recipes"
    assert told in str(refused.value)
    assert refused.value.status == 422


def test_a_file_that_others_can_write_is_refused(path: Path, tmp_path: Path) -> None:
    path.write_text(GOOD)
    path.chmod(0o646)
    with pytest.raises(Invalid, match="writable by others"):
        read_recipe(path, "site")

    path.chmod(0o644)
    tmp_path.chmod(0o757)
    with pytest.raises(Invalid, match="writable by others"):
        read_recipe(path, "site")

    tmp_path.chmod(0o1777)  # sticky, as /tmp is: nobody can exchange the file
    assert read_recipe(path, "site").command == ("make",)


def test_what_is_no_file_is_refused(path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        read_recipe(path, "site")
    assert refused.value.code == "unknown_recipe"

    path.write_text(GOOD)
    with pytest.raises(Invalid, match="no such recipe"):
        read_recipe(path, "other")

    path.write_bytes(GOOD.encode() + b"# \xff\n")
    with pytest.raises(Invalid, match="line 4: not UTF-8"):
        read_recipe(path, "site")

    path.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(Invalid, match="larger than"):
        read_recipe(path, "site")

    path.unlink()
    path.mkdir()
    with pytest.raises(Invalid):
        read_recipe(path, "site")
