"""What the package is made of, as far as it can be judged without installing it. The rest is tried by
scripts/package --test."""

import functools
import os
import shutil
import subprocess
import unittest

from daemon import BINARY, PATIENCE, SOURCE, Case

PACKAGING = os.path.join(SOURCE, "packaging")


def ran(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=PATIENCE,
                          **more).stdout


@functools.cache
def made(what, *more):
    return ran("python3", "-B", os.path.join(PACKAGING, "commands.py"), BINARY, what, *more)


def section(page, title):
    """The first words of the lines of one section of a help page."""
    lines = page.splitlines()
    if title not in lines:
        return []
    out = []
    for line in lines[lines.index(title) + 1:]:
        if not line.startswith("  "):
            break
        if line[2] != " ":
            out.append(line.split()[0])
    return out


@functools.cache
def commands():
    """(path, options) of every command of the program."""
    return list(below(()))


def below(path):
    page = ran(BINARY, *path, "--help")
    yield path, [name for names in section(page, "Options:") for name in names.split(",")]
    for name in section(page, "Subcommands:"):
        yield from below((*path, name))


class PackageTest(Case):
    def complete(self, *words):
        script = os.path.join(self.folder, "completion")
        with open(script, "w") as file:
            file.write(made("bash"))
        told = ran("bash", "-c", '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sluice; '
                   'printf "%s\\n" "${COMPREPLY[@]}"', script, *words, cwd=self.folder)
        return told.split()

    def test_the_manual_page_has_every_command_and_option(self):
        page = made("man", os.path.join(PACKAGING, "man.in"), "1.2.3", "2026-11-22")
        self.assertIn('"sluice 1.2.3"', page)
        self.assertNotIn("@", page)
        parts = {part.split("\n")[0]: part for part in page.replace("\\-", "-").split(".SS sluice ")}
        for path, options in commands():
            if not path or path in (("dead",), ("token",), ("clock",), ("services",)):
                continue
            part = parts[" ".join(path)]
            for option in options:
                if option not in ("-h", "--help"):
                    self.assertIn(option, part)

    def test_bash_completes_commands_options_and_files(self):
        self.assertEqual(self.complete("sluice", "ver"), ["version"])
        self.assertEqual(self.complete("sluice", "dead", "re"), ["redrive"])
        self.assertEqual(self.complete("sluice", "--json", "messages", "sh"), ["show"])
        self.assertEqual(self.complete("sluice", "chat", "--conv"), ["--conversation"])
        self.assertIn("completion", self.complete("sluice", "run", "--config", "comp"))
        for path, options in commands():
            self.assertEqual(set(options) - set(self.complete("sluice", *path, "-")), set(), path)

    def test_zsh_can_read_its_completion(self):
        if shutil.which("zsh") is None:
            self.skipTest("there is no zsh here")
        script = os.path.join(self.folder, "_sluice")
        with open(script, "w") as file:
            file.write(made("zsh"))
        ran("zsh", "-n", script)

    def test_the_shipped_configurations_are_valid(self):
        for name in ("sluice.toml", "container.toml"):
            path = os.path.join(PACKAGING, name)
            self.assertIn(path + ": valid\n", ran(BINARY, "check-config", path))

    def test_the_scripts_of_the_package_are_right_for_sh(self):
        for name in ("postinst", "prerm", "postrm"):
            ran("sh", "-n", os.path.join(PACKAGING, "debian", name))


if __name__ == "__main__":
    unittest.main(verbosity=2)
