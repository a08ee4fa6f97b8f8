"""Man page and completions, made from what the program says of itself with --help:

    commands.py PROGRAM man TEMPLATE VERSION DATE | bash | zsh
"""

import re
import subprocess
import sys


class Command:
    """One command with its options, [(names, value, help)], and the commands below it."""

    def __init__(self, program, path):
        said = subprocess.run([program, *path, "--help"], check=True, capture_output=True, text=True,
                              timeout=60).stdout
        self.path = path
        lines = said.splitlines()
        self.about = lines[0]
        self.usage = next(l for l in lines if l.startswith("Usage: "))[len("Usage: "):]
        self.options = [self.option(*entry) for entry in entries(lines, "Options:")]
        self.positionals = [(head.split()[0], text) for head, text in entries(lines, "Positionals:")]
        self.below = [Command(program, path + [head])
                      for head, _ in entries(lines, "Subcommands:")]
        if not self.options:
            raise SystemExit("commands.py: %s has no options; did --help change?" % self.usage)

    @staticmethod
    def option(head, text):
        names, _, value = head.partition(" ")
        value = re.sub(r":\{.*\}|\s*\[.*\]|\s*\.\.\.|\s*Excludes:.*|\s*REQUIRED", "", value).strip()
        return names.split(","), value, text

    def words(self):
        return [c.path[-1] for c in self.below] + [n for names, _, _ in self.options for n in names]

    def all(self):
        yield self
        for command in self.below:
            yield from command.all()


def entries(lines, title):
    """[(head, text)] of one section of a help page."""
    if title not in lines:
        return []
    out = []
    for line in lines[lines.index(title) + 1:]:
        if not line.startswith("  "):
            break
        if line.startswith(" " * 10):  # the text of a long head, or more of a text
            head, text = out[-1]
            out[-1] = (head, (text + " " + line.strip()).strip())
            continue
        head, _, text = line.strip().partition("  ")
        out.append((head, text.strip()))
    return out


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def man(root, template, version, date):
    parts = []
    for command in root.all():
        if command is root or command.about.startswith("See: "):
            continue
        parts.append(".SS %s" % roff("sluice " + " ".join(command.path)))
        parts.append(roff(command.about) + ".")
        if not command.below or command.positionals:
            parts.append(".PP\n.B %s" % roff(re.sub(r"\s*\[SUBCOMMAND\]", "", command.usage)))
        for name, text in command.positionals:
            parts.append(".TP\n.I %s\n%s" % (roff(name), roff(text)))
        for names, value, text in command.options:
            if "--help" in names:
                continue
            head = ".B %s" % ", ".join(map(roff, names))
            parts.append(".TP\n%s%s\n%s" % (head, " \\fI%s\\fR" % roff(value) if value else "",
                                            roff(text)))
    with open(template) as file:
        page = file.read()
    page = page.replace("@VERSION@", version).replace("@DATE@", date)
    return page.replace("@COMMANDS@", "\n".join(parts))


BASH = """# bash completion for sluice(1)
_sluice() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} path= word words=
  local i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case "$path $word" in
%(paths)s
    esac
  done
  case $previous in
    %(files)s)
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
  esac
  case $path in
%(words)s
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _sluice sluice
"""


def files(root):
    names = {name for c in root.all() for names, value, _ in c.options for name in names
             if value == "FILE" or name in ("--config", "--data")}
    return sorted(names)


def key(path):
    return "".join(" " + word for word in path)


def bash(root):
    commands = list(root.all())
    paths = ['      "%s") path="%s" ;;' % (key(c.path[:-1]) + " " + c.path[-1], key(c.path))
             for c in commands if c.path]
    words = ['    "%s") words="%s" ;;' % (key(c.path), " ".join(c.words())) for c in commands]
    return BASH % {"paths": "\n".join(paths), "words": "\n".join(words),
                   "files": " | ".join(files(root))}


def quoted(text):
    return "'%s'" % text.replace("'", "'\\''")


def zsh_function(command):
    name = "_" + "_".join(["sluice", *command.path]).replace("-", "_")
    lines = ["%s() {" % name]
    if command.below:
        lines.append("  local -a commands=(")
        lines += ["    " + quoted("%s:%s" % (c.path[-1], c.about.replace(":", "\\:")))
                  for c in command.below]
        lines.append("  )")
    lines.append("  local state")
    lines.append("  _arguments -C \\")
    for names, value, text in command.options:
        text = re.sub(r"([\[\]:\\])", r"\\\1", text)
        action = "_files" if value == "FILE" or names[0] in ("--config", "--data") else ""
        for one in names:
            more = ":%s:%s" % (value, action) if value else ""
            lines.append("    %s \\" % quoted("%s[%s]%s" % (one, text, more)))
    if command.below:
        lines.append("    '1: :->command' '*:: :->rest'")
        lines.append("  case $state in")
        lines.append("    command) _describe command commands ;;")
        lines.append("    rest) (( $+functions[%s_${words[1]//-/_}] )) && %s_${words[1]//-/_} ;;"
                     % (name, name))
        lines.append("  esac")
    else:
        lines.append("    '*:file:_files'")
    lines.append("}")
    return "\n".join(lines)


def zsh(root):
    functions = "\n\n".join(zsh_function(c) for c in reversed(list(root.all())))
    return "#compdef sluice\n\n%s\n\n_sluice \"$@\"\n" % functions


def main(program, what, *more):
    root = Command(program, [])
    print({"man": man, "bash": bash, "zsh": zsh}[what](root, *more), end="")


main(*sys.argv[1:])
