"""Facts are the same however they are written, and never the same when they differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.generation.checking.facts import FactKind, FactText, facts_of


def stated(said: str, source: str) -> bool:
    facts, text = facts_of(said), FactText(source)
    assert facts, said
    return all(text.states(fact) for fact in facts)


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("2 minutes", "120 seconds"),
        ("two minutes", "2 min"),
        ("1 1/2 hours", "90 minutes"),
        ("1\u00bd hours", "1.5 h"),
        ("half a year is 0.5", "one half"),
        ("$1,200", "1200 dollars"),
        ("EUR 350", "350 euros"),
        ("3.5 million", "3,500,000"),
        ("10 to 12 percent", "10-12 %"),
        ("18 minutes", "18 to 22 minutes"),
        ("1 hour", "an hour"),
        ("1 day", "daily"),
        ("a 10-inch disk", "10 inches"),
        ("6 inches (15 cm)", "6 inches"),
        ("400\u00b0F (204\u00b0C)", "400 degrees"),
        ("17 Feb 2026", "2026-02-17"),
        ("February 17th", "17 February 2026"),
        ("2 pm", "14:00"),
        ("3pm: rain", "at 15:00"),
        ("the 19th century", "the nineteenth century"),
        ("25th of them", "number 25"),
        ("1 GB", "1000 MB"),
        ("1 year", "12 months"),
        ("must read 120", "120 seconds"),
        ("vitamin B12", "vitamin B-12"),
        ("`10.0.0.1`", "10.0.0.1"),
        ("FE80::1", "fe80:0:0::1"),
        ("port 8443", "https://localhost:8443/healthz"),
        ("gw-01's disk", "gw-01 is full"),
    ],
)
def test_one_fact_has_many_spellings(said: str, source: str) -> None:
    assert stated(said, source)


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("2 minutes", "2 seconds"),
        ("5 minutes", "5 GB"),
        ("1 GB", "1 GiB"),
        ("$1,200", "1200 euros"),
        ("-5 degrees", "5 degrees"),
        ("12 %", "between 10 and 11 percent"),
        ("6 inches (20 cm)", "6 inches"),
        ("17 Feb 2026", "17 Feb 2025"),
        ("17 Feb", "17 Mar"),
        ("2 pm", "02:00"),
        ("02:30", "02:35"),
        ("10.0.0.1", "10.0.0.12"),
        ("10.0.0.0/8", "10.0.0.0/16"),
        ("10.0.0.1:8443", "10.0.0.1:8444"),
        ("fe80::1", "fe80::2"),
        ("4.8.1", "4.8.10"),
        ("gw-01.tarnwell.example", "gw-02.tarnwell.example"),
        ("mail ops@tarnwell.example", "mail dev@tarnwell.example"),
        ("/etc/gatehouse", "/etc/gatehouse/routes.d"),
        ("platform/northgrid/phrase", "platform/northgrid/code"),
        ("https://a.example/x", "https://a.example/y"),
        ("GH-5021", "GH-5022"),
        ("HTTP 502", "HTTP 503"),
        ("twenty-five", "twenty-four"),
    ],
)
def test_other_facts_are_not_stated(said: str, source: str) -> None:
    assert not stated(said, source)


@given(st.integers(2, 10_000), st.sampled_from(["seconds", "minutes", "hours", "days", "MB", "%", "euros", "feet"]))
def test_a_number_is_stated_only_by_itself(number: int, unit: str) -> None:
    assert stated(f"It takes {number} {unit}.", f"About {number:,} {unit} are needed.")
    assert not stated(f"It takes {number} {unit}.", f"About {number + 1} {unit} are needed.")
    assert not stated(f"It takes {number} {unit}.", f"About {number}0 {unit} are needed.")


@given(st.text(max_size=200))
def test_any_text_states_its_own_facts(text: str) -> None:
    evidence = FactText(text)
    for fact in facts_of(text):
        assert evidence.states(fact), fact


@pytest.mark.parametrize(
    "said",
    ["as (Passage 2) says", "passages 1 and 3 agree", "2. Drain it.", "Step 3: Drain it.", "repeat steps 4 and 5",
     "the three passages"],
)  # fmt: skip
def test_what_only_points_somewhere_is_no_fact(said: str) -> None:
    assert not facts_of(said)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("10.0.0.1", FactKind.ADDRESS),
        ("10.1.0.0/16", FactKind.ADDRESS),
        ("2001:db8::1", FactKind.ADDRESS),
        ("4.8.1", FactKind.VERSION),
        ("02:00", FactKind.TIME),
        ("2026-02-17", FactKind.DATE),
        ("--force", FactKind.FLAG),
        ("`tw db rotate`", FactKind.COMMAND),
        ("gw-01.tarnwell.example", FactKind.IDENTIFIER),
        ("99.9 %", FactKind.NUMBER),
    ],
)
def test_a_fact_has_its_kind(text: str, kind: FactKind) -> None:
    assert {fact.kind for fact in facts_of(f"See {text} there")} == {kind}


COMMANDS = """Restart it, on call only:

```bash
$ kubectl -n edge rollout restart deployment/gatehouse   # takes a minute
kubectl -n edge get pods \\
  -l app=gatehouse | head -3
cd /srv && make topics
```

Then `tw privacy hold --case <id>`. Type tw sort chutes --depot D62 in a console."""


@pytest.mark.parametrize(
    ("said", "held"),
    [
        ("`kubectl -n edge rollout restart deployment/gatehouse`", True),
        ("```\n# kubectl -n edge rollout restart deployment/gatehouse\n```", True),
        ("```\n  kubectl  -n edge rollout restart deployment/gatehouse\n```", True),
        ("`kubectl -n edge get pods -l app=gatehouse | head -3`", True),
        ("```\nkubectl -n edge get pods \\\n    -l app=gatehouse | head -3\n```", True),
        ("`make topics`", True),
        ("`tw privacy hold --case <id>`", True),
        ("`tw sort chutes --depot D62`", True),
        ("`kubectl rollout restart deployment/gatehouse`", False),
        ("`kubectl -n edge get pods`", False),
        ("`kubectl -n edge get pods -l app=gatehouse`", False),
        ("`kubectl -n edge rollout restart deployment/gatehouse --force`", False),
        ("`tw privacy hold --case 17`", False),
        ("`tw sort chutes`", False),
        ("```\nmake topics\nmake clean all\n```", False),
    ],
)
def test_a_command_stands_whole_or_not_at_all(said: str, held: bool) -> None:
    assert stated(said, COMMANDS) is held
