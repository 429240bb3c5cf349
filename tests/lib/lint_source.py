"""A light reading of C, enough for tests/lint: top-level declarations, functions, includes.

It knows comments, strings, preprocessor lines and nesting, not types. Code that clang-format has
laid out is read rightly; what a macro would expand to is not seen."""

import re
from collections import namedtuple

Function = namedtuple("Function", "name line end body static")
Variable = namedtuple("Variable", "name line static extern const")
Chunk = namedtuple("Chunk", "text line")

_LEXEME = re.compile(r"""/\*.*?\*/|//(?:\\\n|[^\n])*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.M)


def _blank(match):
    """Spaces for a comment or for what is inside quotes: offsets and lines stay as they are."""
    text = match[0]
    hidden = re.sub(r"[^\n]", " ", text)
    return hidden if text[0] == "/" else text[0] + hidden[1:-1] + text[-1]


def _is_const(declaration):
    """Whether the object itself, not only what it points to, is const."""
    pointer = declaration.rfind("*")
    return re.search(r"\bconst\b", declaration[pointer + 1:]) is not None


def _initialised(text):
    """A declaration without its initialiser and without the bodies in braces."""
    out, depth = [], 0
    for char in text:
        if char == "=" and depth == 0:
            break
        depth += (char in "{[(") - (char in "}])")
        out.append(char)
    flat = "".join(out)
    while re.search(r"\{[^{}]*\}", flat):
        flat = re.sub(r"\{[^{}]*\}", " {} ", flat)
        flat = flat.replace("{}", "")
    return " ".join(flat.split())


class Source:
    def __init__(self, text):
        bare = _LEXEME.sub(_blank, text)
        self.directives = []
        self.includes = []
        self.defines = 0
        for match in _DIRECTIVE.finditer(bare):
            line = bare.count("\n", 0, match.start()) + 1
            raw = text[match.start():match.end()].strip()
            self.directives.append((line, raw))
            include = re.match(r'#\s*include\s*([<"])([^>"]+)[>"]', raw)
            if include:
                self.includes.append((line, include[2], include[1] == '"'))
            # An include guard defines a name and nothing else.
            self.defines += bool(re.match(r"#\s*define\s+\w+(\(|[ \t]+\S)", raw))
        self.code = _DIRECTIVE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), bare)
        self.chunks = []
        self.functions = []
        self._split()
        self.variables = [v for v in map(self._variable, self.chunks) if v]

    def _line(self, offset):
        return self.code.count("\n", 0, offset) + 1

    def _split(self):
        """Cuts the code at the top level into functions and other declarations."""
        start, depth, head = 0, 0, None
        for at, char in enumerate(self.code):
            if char in "([{":
                if char == "{" and depth == 0:
                    before = self.code[start:at]
                    if re.match(r'\s*extern\s*"\s*"\s*$', before):
                        start = at + 1
                        continue
                    if head is None and re.search(r"\)\s*$", before) and "=" not in before:
                        head = at
                depth += 1
            elif char in ")]}":
                if depth == 0:
                    start = at + 1
                    continue
                depth -= 1
                if depth == 0 and char == "}" and head is not None:
                    self._function(start, head, at)
                    start, head = at + 1, None
            elif char == ";" and depth == 0:
                text = self.code[start:at]
                if text.strip():
                    self.chunks.append(Chunk(text.strip(), self._first_line(start)))
                start, head = at + 1, None

    def _first_line(self, start):
        rest = self.code[start:]
        return self._line(start + len(rest) - len(rest.lstrip()))

    def _function(self, start, head, end):
        text = self.code[start:head].strip()
        names = re.findall(r"\b(\w+)\s*\(", text)
        name = next((n for n in names if n != "__attribute__" and not n.isupper()), "?")
        line = self._first_line(start)
        self.functions.append(Function(name, line, self._line(end), (head, end),
                                       re.search(r"\bstatic\b", text) is not None))
        self.chunks.append(Chunk(text, line))

    def _variable(self, chunk):
        declaration = _initialised(chunk.text)
        if re.match(r"(typedef|_Static_assert|static_assert)\b", declaration):
            return None
        if any(f.line == chunk.line for f in self.functions):
            return None
        pointer = re.match(r"[^()]*\(\s*\*\s*((?:const\s+)?)(\w+)(?:\[[^\]]*\])?\s*\)\s*\(", declaration)
        if pointer:
            name, const = pointer[2], bool(pointer[1])
        elif "(" in re.sub(r"__attribute__\s*\(\(.*?\)\)|_Alignas\s*\(.*?\)", "", declaration):
            return None
        else:
            plain = re.sub(r"\[[^\]]*\]", "", declaration)
            plain = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", plain).strip()
            if re.match(r"(?:const\s+)?(?:struct|union|enum)\s*\w*$", plain):
                return None
            match = re.search(r"(\w+)$", plain)
            if not match or not re.search(r"\w[\s*]+\w+$", plain):
                return None
            name, const = match[1], _is_const(plain)
        return Variable(name, chunk.line, re.search(r"\bstatic\b", declaration) is not None,
                        re.search(r"\bextern\b", declaration) is not None, const)

    def static_locals(self):
        for function in self.functions:
            head, end = function.body
            for match in re.finditer(r"\bstatic\b([^;={]*)", self.code[head:end]):
                if not _is_const(match[1]) and not match[1].lstrip().startswith("_assert"):
                    yield self._line(head + match.start()), " ".join(match[0].split())

    def operation_tables(self):
        """(line, name, operations) of each struct *_ops."""
        for chunk in self.chunks:
            match = re.match(r"struct\s+(\w+_ops)\s*\{", chunk.text)
            if match:
                yield chunk.line, match[1], len(re.findall(r"\(\s*\*\s*\w+\s*\)\s*\(", chunk.text))

    def lines_with(self, pattern):
        for number, line in enumerate(self.code.splitlines(), 1):
            if re.search(pattern, line):
                yield number
