"""The commands of proto/clients.md: which call they make, with which body."""

import dataclasses
import re
import shlex

FLAGS_WITH_VALUE = {
    "grpcurl": {"-d", "-import-path", "-proto"},
    "ghz": {"--call", "-c", "-n", "-d", "--rps", "-z", "--timeout", "--proto", "--import-paths"},
    "evans": {"--host", "--port"},
    "buf": {"--protocol", "--schema", "-d"},
}
FLAGS_ALONE = {"grpcurl": {"-plaintext", "-emit-defaults"}, "ghz": {"--insecure"},
               "evans": {"--reflection"}, "buf": {"--emit-defaults", "--list-methods"}}


@dataclasses.dataclass
class Recipe:
    tool: str
    service: str
    method: str
    body: str


def _commands(text):
    """Each as a list of words, of every ```sh block: lines end where quotes and \\ do."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
        pending = ""
        for line in block.splitlines():
            if line.endswith("\\"):
                pending += line[:-1]
                continue
            pending += line + "\n"
            try:
                words = shlex.split(pending, posix=True)
            except ValueError:  # inside of a quotation
                continue
            pending = ""
            yield words
        assert not pending, "a command without an end: " + pending


def _take_apart(words):
    """(flags with their values, or True, the rest); a flag that is not known here fails."""
    tool, flags, rest = words[0], {}, []
    words = iter(words[1:])
    for word in words:
        if word in FLAGS_WITH_VALUE[tool]:
            flags[word] = next(words)
        elif word.startswith("-"):
            assert word in FLAGS_ALONE[tool], f"{tool} {word}"
            flags[word] = True
        else:
            rest.append(word)
    return flags, rest


def _recipe(words):
    """None for a command that calls nothing."""
    body = "{}"
    if words[0] == "echo":
        body, words = words[1], words[words.index("|") + 1:]
    flags, rest = _take_apart(words)
    tool = words[0]
    if tool == "ghz":
        assert len(rest) == 1, words
        body, name = flags["-d"], flags["--call"]
    elif tool == "evans":
        if rest == ["repl"]:
            return None
        assert rest[:2] == ["cli", "call"], words
        name = rest[2]
    elif tool == "buf":
        if "--list-methods" in flags:
            return None
        body, name = flags.get("-d", "{}"), rest[1].split("/", 3)[3]
    else:
        if rest[1] in ("list", "describe"):
            return None
        body, name = flags.get("-d", "{}"), rest[1]
    service, method = re.fullmatch(r"(.+)[./](\w+)", name).groups()
    return Recipe(tool, service, method, body.replace("{{.RequestNumber}}", "7"))


def read_recipes(text):
    return [recipe for words in _commands(text) if (recipe := _recipe(words))]


def read_commands(text, tool):
    """Its commands as lists of words, the tool's name first."""
    return [words for words in _commands(text) if words[0] == tool]
