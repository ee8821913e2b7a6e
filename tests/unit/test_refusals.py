"""Refusals in eleven languages, answers that sound like one, and what the question tells."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confroute.uncertainty import is_refusal
from confroute.uncertainty.phrases import LANGUAGES
from confroute.uncertainty.refusal import refusal_of

REFUSALS = {
    "en": [
        "I'm sorry, but the passage provided does not contain the answer to your question.",
        "There's no mention of a warranty in the text.",
        "We don't have enough information to answer this.",
        "I can’t assist with that.",
        "Sorry, I have no clue.",
        "It is unclear from the context who signed the lease.",
        "I do not have any information on the current mayor of Ulm. Could you tell me more?",
        "The provided documents don't include details about pricing.",
        "Not mentioned",
        "As a large language model, I'm unable to provide legal advice.",
        "I wasn't able to find anything about that in the sources.",
        "I cannot determine the author from the given excerpt.",
        "That information isn't available in the provided context.",
        "Hmm, I'm not entirely sure.",
        "The text gives no indication of when the war ended.",
        "I won't help with that.",
        "I don't know.",
        "unknown",
        "N/A",
        "IDK",
        "I don't know who wrote Effi Briest.",
        "I’m sorry, but I can’t help with that request.",
        "The documents do not say.",
        "The provided context does not mention the CEO of the firm.",
        "Based on the given information, it is not possible to determine the date.",
        "As an AI language model I cannot give medical advice.",
        "I'm not aware of who the CEO of Foo Corp is.",
        "I cannot provide the score, but you can check the official website.",
        "The text does not state who won. It only discusses the stadium.",
        "Answer: I don't know",
        "**Not specified** [1]",
    ],
    "de": [
        "Dazu kann ich leider nichts sagen.",
        "Das weiß ich nicht.",
        "In den bereitgestellten Dokumenten wird der Preis nicht erwähnt.",
        "Der Kontext enthält keine Informationen über den Autor.",
        "Entschuldigung, dabei kann ich nicht behilflich sein.",
        "Ich habe leider keine Ahnung.",
        "Anhand des Textes lässt sich nicht feststellen, wann der Krieg endete.",
        "Tut mir leid, das kann ich nicht beantworten.",
        "Nicht angegeben",
        "Ich bin mir leider nicht sicher, wer das war.",
        "Die vorliegenden Unterlagen geben darüber keine Auskunft.",
        "Die Dokumente enthalten dazu keine Angaben.",
        "Ich kann Ihnen dabei leider nicht helfen.",
        "Keine Ahnung",
    ],
    "fr": [
        "Je suis désolé, mais je ne peux pas répondre à cette question.",
        "Le texte ne contient pas cette information.",
        "Cette information n'est pas mentionnée dans le document.",
        "Je ne suis pas sûr.",
        "Je n'en ai aucune idée.",
        "D'après le contexte fourni, il est impossible de déterminer la date.",
        "Malheureusement, je ne dispose pas de cette information.",
        "Non précisé",
        "Je ne peux pas vous aider avec cette demande.",
        "Personne ne le sait.",
        "Je ne sais pas.",
    ],
    "es": [
        "Lo siento, no tengo esa información.",
        "El texto no dice quién ganó.",
        "No puedo responder a esa pregunta.",
        "No estoy seguro.",
        "No tengo ni idea.",
        "La información proporcionada no permite determinar la fecha.",
        "En los documentos no se menciona el precio.",
        "No disponible",
        "Desconozco la respuesta.",
        "Como IA, no puedo ofrecer asesoramiento legal.",
        "Nadie lo sabe.",
        "No lo sé.",
    ],
    "pt": [
        "Sinto muito, não tenho essa informação.",
        "O texto não diz quem venceu.",
        "Não consigo responder a essa pergunta.",
        "Não tenho certeza.",
        "Não faço a menor ideia.",
        "As informações fornecidas não permitem determinar a data.",
        "O preço não é mencionado nos documentos.",
        "Não informado",
        "Infelizmente, não posso ajudar com esse pedido.",
        "Ninguém sabe.",
    ],
    "it": [
        "Mi dispiace, non ho questa informazione.",
        "Il testo non dice chi ha vinto.",
        "Non posso rispondere a questa domanda.",
        "Non sono sicuro.",
        "Non ne ho idea.",
        "Le informazioni fornite non permettono di determinare la data.",
        "Il prezzo non è menzionato nei documenti.",
        "Non specificato",
        "Purtroppo non posso aiutarti con questa richiesta.",
        "Nessuno lo sa.",
        "Non lo so, mi dispiace.",
    ],
    "ru": [
        "Простите, но я не могу ответить на этот вопрос.",
        "В тексте не указано, кто победил.",
        "Этого я не знаю.",
        "Я не уверен.",
        "Не имею представления.",
        "На основе предоставленной информации невозможно определить дату.",
        "Цена в документах не упоминается.",
        "Не указано",
        "К сожалению, я не могу выполнить эту просьбу.",
        "Никто не знает.",
        "У меня недостаточно данных для ответа.",
    ],
    "zh": [
        "很抱歉，我不知道答案。",
        "文档中没有关于价格的信息。",
        "我不能协助处理这个请求。",
        "我不确定。",
        "根据上下文，无法得知谁赢了比赛。",
        "上下文并未提及保修期。",
        "没有人知道。",
        "不详",
        "抱歉，我没有这方面的信息。",
        "这段文字没有说明战争何时结束。",
        "提供的文档中没有提到。",
    ],
    "ja": [
        "すみません、わかりません。",
        "その質問にはお答えできません。",
        "文書には価格についての記載がありません。",
        "申し訳ございませんが、そのご要望にはお応えできません。",
        "提供された情報だけでは特定できません。",
        "誰にもわかりません。",
        "本文では言及されていません。",
        "情報なし",
        "私には分かりません。",
        "残念ながら、その情報は見つかりませんでした。",
    ],
    "ko": [
        "죄송합니다. 답을 모르겠습니다.",
        "문서에 가격에 대한 내용이 없습니다.",
        "그 요청은 도와드릴 수 없습니다.",
        "확실하지 않습니다.",
        "제공된 정보만으로는 판단할 수 없습니다.",
        "본문에는 누가 이겼는지 나와 있지 않습니다.",
        "아무도 모릅니다.",
        "정보 없음",
        "죄송하지만 그 질문에는 답변드릴 수 없습니다.",
        "저는 그것을 알지 못합니다.",
    ],
    "ar": [
        "آسف، لا أعرف الإجابة.",
        "لا يحتوي النص على معلومات عن السعر.",
        "لا يمكنني المساعدة في هذا الطلب.",
        "لست متأكداً.",
        "ليس لدي أي فكرة.",
        "بناءً على المعلومات المقدمة، لا يمكن تحديد التاريخ.",
        "لم يُذكر السعر في الوثائق.",
        "غير محدد",
        "لا أحد يعرف.",
        "للأسف، لا أملك معلومات عن ذلك.",
    ],
}
ANSWERS = {
    "en": [
        "I Can't Make You Love Me",
        "No One Knows",
        "I Don't Want to Miss a Thing",
        "The Unknown Soldier",
        "Nothing Else Matters",
        "It is forbidden to smoke.",
        "I don't know for sure, but most likely 1945.",
        "There is no cure for the common cold.",
        "Neither",
        "The store does not offer refunds.",
        "Water cannot be compressed easily.",
        '"I Can\'t Tell You Why"',
        "No information was lost in the transfer.",
        "The sum of the angles is not known to exceed 180 degrees.",
        "I Can't Get No Satisfaction",
        "Unknown Pleasures",
        "Nobody Knows",
        "No Information Society",
        "I Don't Know How to Love Him",
        "I'm not sure, but probably Paris",
        "It is not possible to divide by zero.",
        "There is no largest prime",
        "No",
        "None",
        "",
        "IDK Paris",
        "I'm not sure; 1945",
        "I don't know, Paris",
        "I'm sorry, Dave",
        "Unable to fly.",
        "It depends on temperature",
        "I don't know much about it. The capital is Lyon.",
        "I have no data on that film. However, if you are referring to the 2017 one, it was Dan Stevens.",
    ],
    "de": [
        "Niemand",
        "Keine",
        "Das weiß ich nicht genau, aber ich glaube, es war Goethe.",
        "Die Unbekannte aus der Seine",
        "Rauchen ist hier nicht gestattet.",
        "Es gibt kein Leben auf dem Mond.",
        "Ohne Führerschein darf man nicht fahren.",
        "Im Westen nichts Neues",
        "Ich weiß nicht, Paris",
        "Das ist nicht möglich.",
    ],
    "fr": [
        "Personne",
        "Rien",
        "Je ne sais pas, peut-être Lyon.",
        "Non, je ne regrette rien",
        "Il est interdit de fumer.",
        "La garantie ne couvre pas la batterie.",
        "L'Étranger",
        "Il n'y a pas de vie sur la Lune.",
        "Je ne sais pas pourquoi",
    ],
    "es": [
        "Nadie",
        "Nada",
        "No lo sé con seguridad, pero creo que fue Cervantes.",
        "No me arrepiento de nada",
        "Está prohibido fumar.",
        "La garantía no cubre la batería.",
        "No hay vida en la Luna.",
        "Ninguna de las dos",
    ],
    "pt": [
        "Ninguém",
        "Nada",
        "Não sei ao certo, mas acho que foi Camões.",
        "É proibido fumar.",
        "A garantia não cobre a bateria.",
        "Não há vida na Lua.",
        "Nenhuma das duas",
        "O Livro do Desassossego",
    ],
    "it": [
        "Niente",
        "Nessuna",
        "Non lo so con certezza, ma credo sia stato Dante.",
        "Vietato fumare",
        "La garanzia non copre la batteria.",
        "Non c'è vita sulla Luna.",
        "Il cavaliere inesistente",
        "Non ci resta che piangere",
    ],
    "ru": [
        "Ничего",
        "Ни один",
        "Точно не знаю, но думаю, что это Толстой.",
        "Курить запрещено.",
        "Гарантия не распространяется на батарею.",
        "На Луне нет жизни.",
        "Идиот",
        "Неизвестный солдат",
    ],
    "zh": [
        "没有人",
        "无",
        "我不太确定，不过我想是李白。",
        "禁止吸烟。",
        "保修不包括电池。",
        "月球上没有生命。",
        "红楼梦",
        "无间道",
    ],
    "ja": [
        "なし",
        "誰もいない",
        "はっきりとはわかりませんが、たぶん漱石です。",
        "喫煙は禁止されています。",
        "保証はバッテリーには適用されません。",
        "月には生命は存在しません。",
        "吾輩は猫である",
        "そして誰もいなくなった",
    ],
    "ko": [
        "아무도",
        "아무것도 없다",
        "잘 모르겠지만 아마 이순신일 것입니다.",
        "흡연은 금지되어 있습니다.",
        "보증은 배터리에 적용되지 않습니다.",
        "달에는 생명체가 없습니다.",
        "기생충",
        "살인의 추억",
        "알 수 없는 이유",
    ],
    "ar": [
        "لا شيء",
        "ولا واحد",
        "لا أعرف بالضبط، لكن أظن أنه المتنبي.",
        "التدخين ممنوع.",
        "الضمان لا يشمل البطارية.",
        "لا توجد حياة على القمر.",
        "الجندي المجهول",
        "موسم الهجرة إلى الشمال",
    ],
}
ASKED = [
    ("Ich weiß nicht, was soll es bedeuten", "Wie beginnt das Gedicht von Heine?", False),
    ("unknown", "What does the adjective 'unbekannt' mean?", False),
    ("unknown", "What does the firm pay?", True),
    ("I don't know", "What does 'je ne sais pas' mean?", False),
    ("I don't know", "What does HP mean in War and Order?", True),
    ("I Don't Know", "Which song did Ozzy Osbourne release first?", False),
    ("I don't know", "Which song did Ozzy Osbourne release first?", True),
    ("Je ne sais pas pourquoi", "Quelle chanson chante Kylie Minogue ?", False),
    ("Je ne sais pas quelle chanson chante Kylie", "Quelle chanson chante Kylie Minogue ?", True),
    ("Cannot be determined", "How old is Ann?\nA. 3\nB. 4\nC. Cannot be determined", False),
    ("The documents do not mention a fee.", "Do the documents mention a fee?", False),
    ("The documents do not mention a fee.", "How high is the fee?", True),
    ("Unknown", "What is the title of the film with Liam Neeson?", False),
    ("unbekannt", "Was bedeutet das Wort 'unknown'?", False),
    ("Unbekannt", "Wer hat das Bild gemalt?", True),
    ("No sé", "Cómo se traduce 'je ne sais pas'?", False),
    ("No One Knows", "Which single did Queens of the Stone Age release in 2002?", False),
    ("Die Unterlagen enthalten keine Angaben zum Preis.", "Steht in den Unterlagen etwas zum Preis?", False),
    ("Die Unterlagen enthalten keine Angaben zum Preis.", "Wie hoch ist der Preis?", True),
    ("B. Not enough information", "Is it safe?\nA. Yes\nB. Not enough information", False),
    ("I don't know why", "Why is the sky green?", True),
    ("<think>The user asks. I know: Paris.</think>I don't know.", "", True),
    ("<think>I don't know.</think>Paris", "", False),
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_refusals_are_known_in_every_language(language: str) -> None:
    assert len(REFUSALS[language]) >= 8
    assert [text for text in REFUSALS[language] if not is_refusal(text)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_that_sound_like_refusals_are_none(language: str) -> None:
    assert len(ANSWERS[language]) >= 6
    assert [text for text in ANSWERS[language] if is_refusal(text)] == []


@pytest.mark.parametrize(("text", "question", "refuses"), ASKED)
def test_the_question_tells_a_refusal_from_an_answer(text: str, question: str, refuses: bool) -> None:
    assert is_refusal(text, question) is refuses


def test_an_answer_beside_words_of_declining_is_half_a_refusal() -> None:
    assert refusal_of("As an AI language model, I have no opinions. However, the capital is Lyon.") == 0.5
    assert refusal_of("Ich weiß nicht, wer es war. Die Hauptstadt ist Lyon.") == 0.5
    assert refusal_of("The capital is Lyon.") == 0.0
    assert refusal_of("I don't know. " * 100) == 0.5  # longer than what is read


@given(st.lists(st.sampled_from([t for texts in REFUSALS.values() for t in texts]), min_size=1, max_size=4))
def test_an_answer_among_refusals_is_never_lost(texts: list[str]) -> None:
    assert not is_refusal("\n".join([*texts, "The capital of that country is Lyon."]))


def test_no_pattern_repeats_without_a_bound() -> None:
    for phrases in LANGUAGES.values():
        for pattern in (field for field in phrases if isinstance(field, str)):
            bare = re.sub(r"\\.|\[(?:\\.|[^\]])*\]", "", pattern)
            assert re.search(r"[*+]|\{\d*,\}", bare) is None
            assert re.search(r"\(\d+, ?\d+\)|\{\d+, ", bare) is None  # a bound lost in a formatted string


@given(st.text(max_size=3000))
def test_any_text_is_read(text: str) -> None:
    assert refusal_of(text) in (0.0, 0.5, 1.0)
