from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confroute.answers import answer_begins, answer_of, conclusion_of, is_unconcluded, without_thought

CHOICE = "What falls?\nA. sun\nB. rain\nC. wind"
SUM = "What is 17 * 23?"


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("<think>\nSydney? No.\n</think>\n\nCanberra", "Canberra"),
        ("<THINKING>Sydney?</THINKING>Canberra", "Canberra"),
        ("[THINK]Sydney?[/THINK]Canberra", "Canberra"),
        ("◁think▷Sydney?◁/think▷Canberra", "Canberra"),
        ("Sydney? No, that is larger.\n</think>\n\nCanberra", "Canberra"),  # the tag opened in the prompt
        ("<think>a</think>Perhaps.\n<think>b</think>\nCanberra", "Canberra"),
        (
            "<|channel|>analysis<|message|>Sydney?<|end|><|channel|>final<|message|>Canberra<|return|>",
            "Canberra",
        ),
        ("<think>Is it Canb", ""),
        ("Let me see.\n<think>Is it Canb", ""),
        ("<think>Canberra</think>", ""),
        ("<think>a <think>b</think> c</think>Canberra", "Canberra"),
        ("<think>a</think></think>Canberra", "Canberra"),
        ("<analysis>It is old.</analysis>\nCanberra", "Canberra"),
        ("<analysis>It is old, and it was built well.</analysis>",) * 2,
        ("Templates write it so:\n```xml\n<think>\n```\nand then go on.",) * 2,
        ("Canberra", "Canberra"),
        ("Write `<think>` before a thought and `</think>` after it.",) * 2,
        ("if a < b and [1] > 2: pass",) * 2,
        ("", ""),
    ],
)
def test_a_thought_is_not_the_answer(reply: str, answer: str) -> None:
    assert without_thought(reply) == answer
    begins = answer_begins(reply)
    if begins is None:
        assert answer == ""
    else:
        assert answer in reply[begins:]


@pytest.mark.parametrize(
    ("reply", "question", "answer"),
    [
        (r"17*20 is 340, and 17*3 is 51.\nSo we get \(\boxed{391}\).", SUM, "391"),
        (r"First \boxed{1}, then the fraction \[\boxed{\frac{3}{4}}\]", "", r"1; \frac{3}{4}"),
        (r"The speed is \boxed{42 \text{ km/h}} in the end.", "", "42 km/h"),
        (r"The sum is \boxed{1{,}234.00}, as we saw, or about \boxed{12", "", "1,234.00"),
        (r"The share is \boxed{41.11\%} of all that there is to be seen here.", "", "41.11%"),
        ("He runs 3*60=180 metres.\n#### 540", "How many metres?", "540"),
        ("It is wet outside and it is cold, too. The answer is B, since it is wet.", CHOICE, "B"),
        ("A. sun is dry. C. wind is air. B. rain is what falls.\n\n**B**", CHOICE, "B"),
        ("Water falls when it is cold, and then it is wet everywhere: (B) is correct.", CHOICE, "B"),
        ("After some thought about the matter, the final answer is: **Paris**. It is large.", "", "Paris"),
        (
            "The answer is 42, as was found by adding. Let us check that the answer is accurate. It is.",
            "",
            "42",
        ),
        ("Nach langem Nachdenken über alles komme ich zum Schluss: die Antwort ist Paris.", "", "Paris"),
        (
            "He fills 3 + 4 = 7 bags a day.\nTherefore, he can fill 14 bags in 2 days.",
            "How many bags can he fill in 2 days?",
            "14",
        ),
        ("20 * 17 is 340, and 3 * 17 is 51, so that we get 340 + 51 = 391.", SUM, "391"),
        ("<think>It may be 390.</think>20*17=340 and 3*17=51, and so 340 + 51 = 391", SUM, "391"),
        ("1/6 * 1/6 = 1/36. So the probability of both is 1/36.", "What is the probability?", "1/36"),
        ("Let's look at each option:\nA. dry\nB. wet\nC. air\n\nTherefore, the answer is B.", CHOICE, "B"),
        ("The author was found first: the answer is Goethe.\nThe answer is: 1808.", "", "Goethe; 1808"),
        ("B. rain\n\nExplanation:\nA. The sun is dry.\nC. The wind is air.", CHOICE, "B"),
    ],
)
def test_the_conclusion_of_a_worked_answer_is_its_answer(reply: str, question: str, answer: str) -> None:
    assert answer_of(reply, question) == answer
    assert conclusion_of(reply, question) == answer


@pytest.mark.parametrize(
    ("reply", "question"),
    [
        ("Shakespeare wrote 37 plays. They were written between 1589 and 1613.", "How many plays are there?"),
        ("He lived in Paris for some years, and then in a small town nearby.", "Where did he live?"),
        ("391", SUM),
        ("Paris", ""),
        ("20 * 17 = 340, and 3 * 17 = 51, which together makes 391 in all.", SUM),
        ("The capital of Australia is Canberra. I hope this answer is helpful!", "Which is the capital?"),
        ("A common wrong answer is Sydney. The capital is in fact Canberra.", "Which is the capital?"),
        ("As was said, the answer is not Sydney, which is only the largest city.", "Which is the capital?"),
        ("3 * 20 = 60, less a tenth. Therefore it is $54, which saves you $6.", "How much is it?"),
        ("60 / 2 is 30. So its speed is 30 km/h (8.33 m/s).", "How fast is it?"),
        ("3 * 2 + 2 is 8. Therefore eight guests come, 3 couples among them.", "How many guests?"),
        ("B is wet. The best answer is a matter of the season, and so is C.", CHOICE),
        ("Let's look at each option:\nA. dry\nB. wet\nC. air\n\nSo it is the second.", CHOICE),
        ("Summary:\n\n#### Conclusion\nThe house is old, and it was built well.", "Which house is it?"),
        ("Reply with this template, and fill it in: answer: {answer}, by {author}.", "Which template?"),
        (
            "It was in Wembley. Finally, the stadium was rebuilt in 2007.",
            "Which area hosted the games, and when?",
        ),
        ("Option A is right in summer, and option B is right in winter time.", CHOICE),
    ],
)
def test_other_answers_are_taken_whole(reply: str, question: str) -> None:
    assert answer_of(reply, question) == reply
    assert conclusion_of(reply, question) is None


def test_a_calculation_that_was_cut_off_has_no_conclusion() -> None:
    question = "How many bags can he fill?"
    assert is_unconcluded("He fills 3 + 4 = 7 bags a day.\nTherefore, he can fill 7 * 2 =", question)
    assert not is_unconcluded("He fills 3 + 4 = 7 bags a day. The answer is 14, since", question)
    assert not is_unconcluded("He lived in Paris for some years, and then in a small", "Where did he live?")


@given(st.text(max_size=400), st.text(max_size=100))
def test_any_text_can_be_read(reply: str, question: str) -> None:
    assert isinstance(answer_of(reply, question), str)
    assert len(without_thought(reply)) <= len(reply)


@given(st.text(alphabet="<>/think \nab{}\\oxed[]=1.", max_size=300))
def test_what_is_read_stands_in_the_reply(reply: str) -> None:
    begins = answer_begins(reply)
    said = without_thought(reply)
    assert said == "" if begins is None else said in reply[begins:]


PASSAGES = "The price of milk is what the total cost of 2019-2024 was.\nA. Farms\nB. Shops\n" * 6


def test_in_a_prompt_with_passages_the_question_proper_asks() -> None:
    reply = "The tenant repairs the roof, see 12 - 3 = 9. So it is rule 17."
    assert conclusion_of(reply, f"{PASSAGES}\nQuestion: Who repairs the roof?\nAnswer:") is None
    assert conclusion_of(reply, f"{PASSAGES}\nQuestion: How many rules are there?\nAnswer:") == "17"
