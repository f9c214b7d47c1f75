#!/usr/bin/env python3
"""Runs the cells of a notebook in their order, in the current folder, as IPython would, without IPython.

usage: run_notebook.py NOTEBOOK

Understood are Python, lines `!command` and `%cd FOLDER`, and cells `%%bash`. Other magics show something in a browser:
they are named and left out. A cell or command that fails ends it with status 1. Before that the file itself is looked
at: nbformat 4, no outputs, nothing that an execution has left behind.
"""
import json
import os
import re
import subprocess
import sys


def look(notebook):
    """What is wrong with the file, as a list of texts."""
    wrong = []
    if (notebook.get("nbformat"), notebook.get("nbformat_minor")) != (4, 5):
        wrong.append("it is not nbformat 4.5")
    if set(notebook) != {"nbformat", "nbformat_minor", "metadata", "cells"}:
        wrong.append("it has other members than a notebook has")
    names = [cell.get("id") for cell in notebook["cells"]]
    if len(set(names)) != len(names):
        wrong.append("two cells have the same id")
    for cell in notebook["cells"]:
        members = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            members |= {"execution_count", "outputs"}
            if cell.get("outputs") != [] or cell.get("execution_count", 0) is not None:
                wrong.append(f"cell {cell.get('id')} has outputs: they are not kept")
        elif cell["cell_type"] != "markdown":
            wrong.append(f"cell {cell.get('id')} is of the kind {cell['cell_type']}")
        if set(cell) != members or not re.fullmatch("[a-zA-Z0-9_-]{1,64}", str(cell.get("id"))):
            wrong.append(f"cell {cell.get('id')} has other members than a cell has")
        if not isinstance(cell["source"], list) or any("\n" in line[:-1] for line in cell["source"]):
            wrong.append(f"cell {cell.get('id')} is no list of lines")
    return wrong


def shell(command, variables):
    """`!command`: $name stands for a variable of Python where there is one, else it is the shell's."""
    def value(match):
        return str(variables[match[1]]) if match[1] in variables else match[0]

    subprocess.run(["/bin/sh", "-c", re.sub(r"\$(\w+)", value, command)], check=True, stdin=subprocess.DEVNULL)


def python(text, variables):
    """Python with lines of IPython between, in one piece, so that blocks may hold them."""
    lines = []
    for line in text.splitlines():
        indent, rest = re.fullmatch(r"(\s*)(.*)", line).groups()
        if rest.startswith("!"):
            rest = f"_shell({rest[1:]!r})"
        elif rest.startswith("%cd "):
            rest = f"_os.chdir({rest[4:].strip()!r})"
        elif rest.startswith("%"):
            print(f"(left out: {rest})")
            rest = "pass"
        lines.append(indent + rest)
    variables["_shell"] = lambda command: shell(command, variables)
    variables["_os"] = os
    exec(compile("\n".join(lines) + "\n", "<cell>", "exec"), variables)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        notebook = json.load(file)
    wrong = look(notebook)
    for text in wrong:
        print(f"{sys.argv[1]}: {text}", file=sys.stderr)
    if wrong:
        return 1
    variables = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        text = "".join(cell["source"])
        print(f"== {cell['id']}", flush=True)
        try:
            if text.startswith("%%bash\n"):
                subprocess.run(["bash"], input=text[7:], text=True, check=True)
            else:
                python(text, variables)
        except Exception as error:  # whatever a cell may do
            print(f"{sys.argv[1]}: cell {cell['id']} failed: {type(error).__name__}: {error}", file=sys.stderr)
            return 1
        sys.stdout.flush()
    return 0


sys.exit(main())
