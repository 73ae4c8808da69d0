#!/usr/bin/env python3
"""Makes the expected results of Cove's Jinja tests with Python's Jinja2 3.1, set up as transformers does for chat templates.

usage: make_cases.py python     reads python_cases.txt, writes python_cases.json beside it
       make_cases.py hf FOLDER  reads hf_jinja_*.json in FOLDER, writes hf_js_dialect.json: the cases that Python answers differently
"""
import datetime
import json
import pathlib
import sys

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2025, 7, 10, 12, 0, 0)


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    @jinja2.pass_eval_context
    def _body(self, context, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


ENV = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
ENV.filters["tojson"] = tojson
ENV.globals["raise_exception"] = raise_exception
ENV.globals["strftime_now"] = NOW.strftime


def answer(template, context):
    try:
        return {"expected": ENV.from_string(template).render(**context)}
    except Exception as error:  # whatever Python raises is the expected error
        return {"error": f"{type(error).__name__}: {error}"}


def write(name, cases):
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (HERE / name).write_text("[\n" + lines + "\n]\n", encoding="utf-8")


def python_cases():
    """One template a line (a Python string literal when it begins with a quote), after the line '# context' with JSON for the rest."""
    context, cases = {}, []
    for line in (HERE / "python_cases.txt").read_text(encoding="utf-8").split("\n"):
        if line.startswith("# context "):
            context = json.loads(line[len("# context "):])
        elif line and not line.startswith("# "):
            template = json.loads(line) if line.startswith('"') else line
            cases.append({"template": template, "context": context, **answer(template, context)})
    write("python_cases.json", cases)


def hugging_face(folder):
    cases = json.loads((folder / "hf_jinja_syntax.json").read_text())
    cases += json.loads((folder / "hf_jinja_e2e.json").read_text())["cases"]
    different = []
    for case in cases:
        if case["name"] == "REPLACE":
            continue  # str.replace(count=) exists from Python 3.13 on, and then gives what the case expects
        got = answer(case["template"], case.get("context", case.get("data")))
        if got.get("expected") != case["expected"]:
            different.append({"name": case["name"], **got})
    write("hf_js_dialect.json", different)


if __name__ == "__main__":
    hugging_face(pathlib.Path(sys.argv[2])) if sys.argv[1] == "hf" else python_cases()
