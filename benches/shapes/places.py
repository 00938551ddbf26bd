"""Where a bug stands and whether a report is at its place; how much of a program is annotation.

A report is *at the place* if its line lies in the definition that was edited: the function or method, or, where the edit
is among the members or in the constructor of a layer, that layer.
"""

import ast
import io
import re
import tokenize

TRI_ITEM = re.compile(r"(layer|fn|let|test|use|const|type|##)\b|##")
TRI_MEMBER = re.compile(r"    (?:(fn|let|param|buffer|state|layer|type|const)\b|##|@)")


def ranges_tri(source):
    """Spans of lines, from 1: (first, last, whether it is a function) for layers, functions and methods."""
    lines = source.split("\n")
    heads = [n for n, line in enumerate(lines, 1) if TRI_ITEM.match(line)]
    found = []
    for first, end in zip(heads, [*heads[1:], len(lines) + 1]):
        kind = lines[first - 1].split()[0]
        if kind == "fn":
            found.append((first, end - 1, True))
        if kind != "layer":
            continue
        found.append((first, end - 1, False))
        members = [n for n in range(first + 1, end) if TRI_MEMBER.match(lines[n - 1])]
        for start, stop in zip(members, [*members[1:], end]):
            if lines[start - 1].startswith("    fn "):
                found.append((start, stop - 1, True))
    return found


def ranges_torch(source):
    """The same for Python; `__init__` counts as the members of its class."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            found.append((node.lineno, node.end_lineno, False))
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":
            found.append((node.lineno, node.end_lineno, True))
    return found


def place(spans, line):
    """The narrowest definition around a line, as (first, last)."""
    around = [span for span in spans if span[0] <= line <= span[1]]
    if not around:
        raise ValueError(f"line {line} lies in no definition")
    first, last, _ = min(around, key=lambda span: span[1] - span[0])
    return first, last


def apply(source, edit):
    """The edited source and the line of the edit."""
    find, replace = edit
    if source.count(find) != 1:
        raise ValueError(f"{find!r} occurs {source.count(find)} times, not once")
    return source.replace(find, replace), source[: source.index(find)].count("\n") + 1


# --- How much is annotation -----------------------------------------------------------------------------------------
# Counted are the names, numbers and operators in types: of parameters, hyperparameters, members, results, type
# parameters and `where` facts. Brackets, commas and colons are not, nor are `smoke()` and `test` blocks.


def tokens(text):
    """Names, numbers and operators in a type, without brackets and punctuation."""
    return len(re.findall(r"\w+|\*\*|//|==|[<>]=|[-+*%<>]|\.\.\.", text))


def count_torch(source):
    """(annotation tokens, lines of code)."""
    tree = ast.parse(source)
    skipped = set()
    total = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "smoke":
            skipped.update(range(node.lineno, node.end_lineno + 1))
    for node in ast.walk(tree):
        if getattr(node, "lineno", None) in skipped:
            continue
        types = []
        if isinstance(node, ast.FunctionDef):
            types = [node.returns, *(argument.annotation for argument in node.args.args), *node.type_params]
        elif isinstance(node, ast.ClassDef):
            types = node.type_params
        elif isinstance(node, ast.AnnAssign):
            types = [node.annotation]
        total += sum(tokens(ast.unparse(kind)) for kind in types if kind is not None)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            skipped.update(range(body[0].lineno, body[0].end_lineno + 1))
    code = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.string.strip() and token.type != tokenize.COMMENT:
            code.update(range(token.start[0], token.end[0] + 1))
    return total, len(code - skipped)


def parts(text):
    """What stands between the commas of a list, but for those in brackets."""
    depth, last, found = 0, 0, []
    for at, sign in enumerate(text):
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and depth == 0:
            found.append(text[last:at])
            last = at + 1
    return [*found, text[last:]]


def count_tri(source):
    """(annotation tokens, lines of code)."""
    lines = re.sub(r"#.*", "", source).split("\n")
    heads = [n for n, line in enumerate(lines) if TRI_ITEM.match(line)]
    items = ["\n".join(lines[first:end]) for first, end in zip(heads, [*heads[1:], len(lines)])]
    source = "\n".join(item for item in items if not item.startswith(("let ", "test ")))
    total = 0
    for member in re.finditer(r"^ +(?:param|buffer|state) \w+: (.*?) *(?:=|$)", source, flags=re.MULTILINE):
        total += tokens(member[1])
    for head in re.finditer(r"^ *(?:layer|fn) \w+\(", source, flags=re.MULTILINE):
        depth, end = 1, head.end()
        while depth:
            depth += (source[end] in "([") - (source[end] in ")]")
            end += 1
        for parameter in parts(source[head.end() : end - 1]):
            total += tokens(parameter.partition(":")[2].split("=")[0])
        rest = re.match(r"(.*?)(\{|=(?!=)(?<![<>=]=))", source[end:], flags=re.DOTALL)[1]
        total += tokens(rest.replace("->", "").replace("where", ""))
    return total, sum(1 for line in source.split("\n") if line.strip())
