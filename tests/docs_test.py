"""What the documents name must be there: docs_test.py ROOT (links|contract|lifecycle)

links: every relative link of a Markdown file leads to a file, and to a heading if it names one.
contract: docs/contract.md has one row for each sentence, the tests and functions that it names exist, and its
mutants are those of sim/mutants.cc.
lifecycle: the tests that docs/lifecycle-checklist.md names exist, each named after its item.
"""

import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
problems = []


def prose(page):
    """The text without code blocks and inline code: what looks like a link there is none."""
    text = re.sub(r"^(```.*?^```|(?:    .*\n)+)", "", page.read_text(), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings}


def check_links():
    pages = sorted({*root.glob("*.md"), *root.glob("docs/**/*.md")})
    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            there = page.parent / path if path else page
            name = page.relative_to(root)
            if not there.exists():
                problems.append(f"{name}: {target} does not exist")
            elif anchor and there.suffix == ".md" and anchor not in anchors(there):
                problems.append(f"{name}: {target} names no heading")
    return len(pages)


def check_tests_named(name):
    """Every `SuiteTest.Name` and `file_test.test_name` of a page exists."""
    page = (root / name).read_text()
    sources = [p for part in ("src", "sim", "tests") for p in (root / part).rglob("*_test.cc")]
    tests = set()
    for source in sources:
        tests.update(re.findall(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", source.read_text(), flags=re.M))
    for suite, test in re.findall(r"`([A-Z]\w*Test)\.(\w+)`", page):
        if (suite, test) not in tests:
            problems.append(f"{name}: there is no test {suite}.{test}")
    for file, test in re.findall(r"`(\w+_test)\.(test_\w+)`", page):
        source = root / "tests/app" / f"{file}.py"
        if not source.exists() or f"def {test}(" not in source.read_text():
            problems.append(f"{name}: there is no test {file}.{test}")


def check_lifecycle():
    name = "docs/lifecycle-checklist.md"
    check_tests_named(name)
    rows = re.findall(r"^\| ([\d, ]+) \|.*\|(.*)\|$", (root / name).read_text(), flags=re.M)
    for items, tests in rows:
        named = re.findall(r"`\w+\.(\w+)`", tests)
        if not named:
            problems.append(f"{name}: item {items} names no test")
        for item in items.split(", "):
            if not any(re.search(rf"(?i)item_?(\d+_and_)?{item}(?!\d)", test) for test in named):
                problems.append(f"{name}: no test of item {item} is named after it")
    return len(rows)


def check_contract():
    page = (root / "docs/contract.md").read_text()
    rows = re.findall(r"^\| (C\d+) \|(.*)$", page, flags=re.M)
    if [number for number, _ in rows] != [f"C{i}" for i in range(1, 33)]:
        problems.append("docs/contract.md: the rows are not C1 to C32")
    check_tests_named("docs/contract.md")
    judge = (root / "tests/crash/judge.py").read_text()
    for name in set(re.findall(r"`(judge_\w+)`", page)):
        if f"def {name}(" not in judge:
            problems.append(f"docs/contract.md: tests/crash/judge.py has no {name}")

    known = set(re.findall(r'"([a-z-]+)", "C', (root / "sim/mutants.cc").read_text()))
    named = {m for _, row in rows for m in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", row.rsplit("|", 2)[1])}
    for mutant in sorted(known ^ named):
        problems.append(f"mutant {mutant} is in only one of docs/contract.md and sim/mutants.cc")
    return len(rows)


checks = {"links": check_links, "contract": check_contract, "lifecycle": check_lifecycle}
count = checks[sys.argv[2]]()
print(*problems, f"{count} looked at, {len(problems)} problems", sep="\n")
sys.exit(1 if problems or count == 0 else 0)
