"""Refusals in eleven languages, answers that sound like one, and what the question tells."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confroute.uncertainty import is_refusal
from confroute.uncertainty.phrases import LANGUAGES
from confroute.uncertainty.refusal import refusal_of

# fmt: off
REFUSALS = {
    "en": [
        "I'm sorry, but the passage provided does not contain the answer to your question.",
        "There's no mention of a warranty in the text.", "We don't have enough information to answer this.",
        "I can’t assist with that.", "Sorry, I have no clue.",
        "It is unclear from the context who signed the lease.",
        "I do not have any information on the current mayor of Ulm. Could you tell me more?",
        "The provided documents don't include details about pricing.", "Not mentioned",
        "As a large language model, I'm unable to provide legal advice.",
        "I wasn't able to find anything about that in the sources.",
        "I cannot determine the author from the given excerpt.",
        "That information isn't available in the provided context.", "Hmm, I'm not entirely sure.",
        "The text gives no indication of when the war ended.", "I won't help with that.", "I don't know.",
        "unknown", "N/A", "IDK", "I don't know who wrote Effi Briest.",
        "I’m sorry, but I can’t help with that request.", "The documents do not say.",
        "The provided context does not mention the CEO of the firm.",
        "Based on the given information, it is not possible to determine the date.",
        "As an AI language model I cannot give medical advice.",
        "I'm not aware of who the CEO of Foo Corp is.",
        "I cannot provide the score, but you can check the official website.",
        "The text does not state who won. It only discusses the stadium.", "Answer: I don't know",
        "**Not specified** [1]", "I’m afraid the context gives no details about the price.",
        "Your documents don't say anything about vacation days.",
        "It's impossible to tell from the passage.", "I cannot fulfill this request.",
        "Sorry, but that's not something I can help with.", "The article never mentions his age.",
        "I have insufficient information to answer.", "This isn't covered in the provided sources.",
        "I don't have that information.", "The supplied excerpt doesn't reveal who paid.",
        "No details on the budget were provided.", "I am unable to provide that information.",
        "There isn't enough context to answer the question.", "I'm not familiar with that film.",
        "Nothing in the documents indicates the price.", "We cannot tell from the text.",
        "Sorry, I couldn't find that in the sources.", "My apologies, I do not know the answer to that.",
    ],
    "de": [
        "Dazu kann ich leider nichts sagen.", "Das weiß ich nicht.",
        "In den bereitgestellten Dokumenten wird der Preis nicht erwähnt.",
        "Der Kontext enthält keine Informationen über den Autor.",
        "Entschuldigung, dabei kann ich nicht behilflich sein.", "Ich habe leider keine Ahnung.",
        "Anhand des Textes lässt sich nicht feststellen, wann der Krieg endete.",
        "Tut mir leid, das kann ich nicht beantworten.", "Nicht angegeben",
        "Ich bin mir leider nicht sicher, wer das war.",
        "Die vorliegenden Unterlagen geben darüber keine Auskunft.",
        "Die Dokumente enthalten dazu keine Angaben.", "Ich kann Ihnen dabei leider nicht helfen.",
        "Keine Ahnung", "Hierzu liegen mir keine Informationen vor.",
        "Die Antwort ist in den Dokumenten nicht enthalten.",
        "Ich bin nicht in der Lage, diese Frage zu beantworten.", "Darüber gibt der Text keine Auskunft.",
        "Leider weiß ich das nicht.", "Diese Anfrage kann ich nicht erfüllen.",
        "Dazu finde ich in den Unterlagen nichts.", "Im Dokument wird das nicht genannt.",
        "Mir ist nicht bekannt, wer das gesagt hat.", "Der Text nennt keinen Preis.",
        "Das kann ich dir leider nicht sagen.", "Es tut mir leid, ich verstehe die Frage nicht.",
        "Zu diesem Thema habe ich keine Informationen.", "Aus den Quellen ist das nicht ersichtlich.",
        "Leider kann ich bei dieser Anfrage nicht helfen.", "Zum Thema Urlaub sagen die Dokumente nichts.",
        "Bei dieser Frage kann ich nicht weiterhelfen.", "Wann das war, ist nicht bekannt.",
        "Ich konnte in den Texten keine Antwort finden.", "Diese Information fehlt im Kontext.",
        "Keines der Dokumente nennt einen Preis.",
        "Ohne weitere Informationen kann ich das nicht beurteilen.", "Dazu steht im Artikel nichts.",
        "Das geht aus dem Text nicht hervor.", "Sorry, weiß ich nicht.",
        "Über den Preis geben die Unterlagen keine Auskunft.", "Ich habe dazu nichts gefunden.",
        "Wer das gesagt hat, weiß ich nicht.", "Das steht nicht im Text.",
        "Der bereitgestellte Auszug beantwortet die Frage nicht.",
        "Mir fehlen die Informationen, um das zu beantworten.",
        "Es wird nicht erwähnt, wann das Gebäude gebaut wurde.",
        "Ich darf Ihnen dazu keine Auskunft geben.",
    ],
    "fr": [
        "Je suis désolé, mais je ne peux pas répondre à cette question.",
        "Le texte ne contient pas cette information.",
        "Cette information n'est pas mentionnée dans le document.", "Je ne suis pas sûr.",
        "Je n'en ai aucune idée.", "D'après le contexte fourni, il est impossible de déterminer la date.",
        "Malheureusement, je ne dispose pas de cette information.", "Non précisé",
        "Je ne peux pas vous aider avec cette demande.", "Personne ne le sait.", "Je ne sais pas.",
        "Les sources fournies n'en parlent pas.", "Je n'ai pas trouvé la réponse dans les documents.",
        "Le texte ne dit rien à ce sujet.", "Je ne suis pas en mesure de répondre.",
        "Je ne peux malheureusement pas satisfaire cette demande.",
    ],
    "es": [
        "Lo siento, no tengo esa información.", "El texto no dice quién ganó.",
        "No puedo responder a esa pregunta.", "No estoy seguro.", "No tengo ni idea.",
        "La información proporcionada no permite determinar la fecha.",
        "En los documentos no se menciona el precio.", "No disponible", "Desconozco la respuesta.",
        "Como IA, no puedo ofrecer asesoramiento legal.", "Nadie lo sabe.", "No lo sé.",
        "Las fuentes no hablan de ello.", "No he encontrado la respuesta en los documentos.",
        "El texto no dice nada al respecto.", "No me es posible responder.",
        "Lamentablemente no puedo cumplir con esa solicitud.",
    ],
    "pt": [
        "Sinto muito, não tenho essa informação.", "O texto não diz quem venceu.",
        "Não consigo responder a essa pergunta.", "Não tenho certeza.", "Não faço a menor ideia.",
        "As informações fornecidas não permitem determinar a data.",
        "O preço não é mencionado nos documentos.", "Não informado",
        "Infelizmente, não posso ajudar com esse pedido.", "Ninguém sabe.", "As fontes não falam disso.",
        "Não encontrei a resposta nos documentos.", "O texto não diz nada a respeito.",
        "Não me é possível responder.", "Infelizmente não posso atender a esse pedido.",
    ],
    "it": [
        "Mi dispiace, non ho questa informazione.", "Il testo non dice chi ha vinto.",
        "Non posso rispondere a questa domanda.", "Non sono sicuro.", "Non ne ho idea.",
        "Le informazioni fornite non permettono di determinare la data.",
        "Il prezzo non è menzionato nei documenti.", "Non specificato",
        "Purtroppo non posso aiutarti con questa richiesta.", "Nessuno lo sa.", "Non lo so, mi dispiace.",
        "Le fonti non ne parlano.", "Non ho trovato la risposta nei documenti.",
        "Il testo non dice nulla al riguardo.", "Non mi è possibile rispondere.",
        "Purtroppo non posso soddisfare questa richiesta.",
    ],
    "ru": [
        "Простите, но я не могу ответить на этот вопрос.", "В тексте не указано, кто победил.",
        "Этого я не знаю.", "Я не уверен.", "Не имею представления.",
        "На основе предоставленной информации невозможно определить дату.",
        "Цена в документах не упоминается.", "Не указано", "К сожалению, я не могу выполнить эту просьбу.",
        "Никто не знает.", "У меня недостаточно данных для ответа.", "В источниках об этом ничего нет.",
        "Я не нашёл ответа в документах.", "В тексте ничего не говорится об этом.",
        "Я не в состоянии ответить.", "К сожалению, мне это неизвестно.",
    ],
    "zh": [
        "很抱歉，我不知道答案。", "文档中没有关于价格的信息。", "我不能协助处理这个请求。", "我不确定。",
        "根据上下文，无法得知谁赢了比赛。", "上下文并未提及保修期。", "没有人知道。", "不详",
        "抱歉，我没有这方面的信息。", "这段文字没有说明战争何时结束。", "提供的文档中没有提到。",
        "资料里没有这个问题的答案。", "我在文档中找不到答案。", "文章没有说是谁。",
        "我没办法回答这个问题。", "这个我不知道。", "很遗憾，我不能满足您的请求。",
    ],
    "ja": [
        "すみません、わかりません。", "その質問にはお答えできません。",
        "文書には価格についての記載がありません。",
        "申し訳ございませんが、そのご要望にはお応えできません。", "提供された情報だけでは特定できません。",
        "誰にもわかりません。", "本文では言及されていません。", "情報なし", "私には分かりません。",
        "残念ながら、その情報は見つかりませんでした。", "資料にはその答えがありません。",
        "文書の中に答えが見つかりませんでした。", "記事には誰なのか書かれていません。",
        "答えがわかりません。", "申し訳ありませんが、そのご依頼には対応できません。",
    ],
    "ko": [
        "죄송합니다. 답을 모르겠습니다.", "문서에 가격에 대한 내용이 없습니다.",
        "그 요청은 도와드릴 수 없습니다.", "확실하지 않습니다.", "제공된 정보만으로는 판단할 수 없습니다.",
        "본문에는 누가 이겼는지 나와 있지 않습니다.", "아무도 모릅니다.", "정보 없음",
        "죄송하지만 그 질문에는 답변드릴 수 없습니다.", "저는 그것을 알지 못합니다.",
        "자료에 그 답이 없습니다.", "문서에서 답을 찾을 수 없습니다.",
        "기사에는 누구인지 적혀 있지 않습니다.", "답을 모르겠어요.",
        "죄송하지만 그 요청에는 응할 수 없습니다.",
    ],
    "ar": [
        "آسف، لا أعرف الإجابة.", "لا يحتوي النص على معلومات عن السعر.", "لا يمكنني المساعدة في هذا الطلب.",
        "لست متأكداً.", "ليس لدي أي فكرة.", "بناءً على المعلومات المقدمة، لا يمكن تحديد التاريخ.",
        "لم يُذكر السعر في الوثائق.", "غير محدد", "لا أحد يعرف.", "للأسف، لا أملك معلومات عن ذلك.",
        "المصادر لا تتحدث عن ذلك.", "لم أجد الإجابة في المستندات.", "النص لا يقول شيئًا عن ذلك.",
        "لا أستطيع الإجابة.", "للأسف لا يمكنني تلبية هذا الطلب.",
    ],
}
ANSWERS = {
    "en": [
        "I Can't Make You Love Me", "No One Knows", "I Don't Want to Miss a Thing", "The Unknown Soldier",
        "Nothing Else Matters", "It is forbidden to smoke.", "I don't know for sure, but most likely 1945.",
        "There is no cure for the common cold.", "Neither", "The store does not offer refunds.",
        "Water cannot be compressed easily.", "\"I Can't Tell You Why\"",
        "No information was lost in the transfer.",
        "The sum of the angles is not known to exceed 180 degrees.", "I Can't Get No Satisfaction",
        "Unknown Pleasures", "Nobody Knows", "No Information Society", "I Don't Know How to Love Him",
        "I'm not sure, but probably Paris", "It is not possible to divide by zero.",
        "There is no largest prime", "No", "None", "", "IDK Paris", "I'm not sure; 1945",
        "I don't know, Paris", "I'm sorry, Dave", "Unable to fly.", "It depends on temperature",
        "I don't know much about it. The capital is Lyon.",
        "I have no data on that film. However, if you are referring to the 2017 one, it was Dan Stevens.",
        "She didn't know.", "Do not enter", "He was not found guilty.",
        "It is not mentioned in the Bible that Eve ate an apple.",
        "The law does not specify a minimum age.", "Don't Stop Me Now", "I Have Nothing", "Not until 1990",
        "The band did not say why it split.", "You don't have to pay.", "I Do Not Want What I Haven't Got",
        "It isn't safe.", "Cannot exceed 5 bar", "The witness didn't mention a car.",
        "No data plan is needed.",
    ],
    "de": [
        "Niemand", "Keine", "Das weiß ich nicht genau, aber ich glaube, es war Goethe.",
        "Die Unbekannte aus der Seine", "Rauchen ist hier nicht gestattet.",
        "Es gibt kein Leben auf dem Mond.", "Ohne Führerschein darf man nicht fahren.",
        "Im Westen nichts Neues", "Ich weiß nicht, Paris", "Das ist nicht möglich.", "Er wusste es nicht.",
        "Nicht vor 1990", "Das Gesetz nennt kein Mindestalter.", "Ich bin dann mal weg",
        "Keine Macht den Drogen", "Der Zeuge nannte kein Auto.", "Man darf hier nicht parken.",
        "Nicht bevor der Druck sinkt.", "Sie kann nicht schwimmen.", "Das Gerät hat keine Batterie.",
        "Kein Anschluss unter dieser Nummer", "Unter 18 ist es nicht erlaubt.",
        "Der Patient weiß es nicht.", "Ich denke, es war Goethe.", "Das Ventil ist nicht dicht.",
        "Nicht am Montag.", "Keine Experimente", "Man findet dort keine Daten aus 1990.", "Sag niemals nie",
        "Das Material enthält kein Blei.", "Der Motor gibt kein Geräusch von sich.",
        "Das Lager ist nicht belegt.", "Keine Ursache", "Es wird nicht vor Mai geliefert.",
        "Wir haben keine Filiale in Ulm.",
    ],
    "fr": [
        "Personne", "Rien", "Je ne sais pas, peut-être Lyon.", "Non, je ne regrette rien",
        "Il est interdit de fumer.", "La garantie ne couvre pas la batterie.", "L'Étranger",
        "Il n'y a pas de vie sur la Lune.", "Je ne sais pas pourquoi", "Il ne savait pas.",
        "Pas avant 1990", "La loi ne fixe pas d'âge minimum.", "Ne me quitte pas", "Il n'est pas coupable.",
    ],
    "es": [
        "Nadie", "Nada", "No lo sé con seguridad, pero creo que fue Cervantes.", "No me arrepiento de nada",
        "Está prohibido fumar.", "La garantía no cubre la batería.", "No hay vida en la Luna.",
        "Ninguna de las dos", "Él no lo sabía.", "No antes de 1990", "La ley no fija una edad mínima.",
        "No me olvides", "No es culpable.",
    ],
    "pt": [
        "Ninguém", "Nada", "Não sei ao certo, mas acho que foi Camões.", "É proibido fumar.",
        "A garantia não cobre a bateria.", "Não há vida na Lua.", "Nenhuma das duas",
        "O Livro do Desassossego", "Ele não sabia.", "Não antes de 1990",
        "A lei não fixa uma idade mínima.", "Não me esqueças", "Não é culpado.",
    ],
    "it": [
        "Niente", "Nessuna", "Non lo so con certezza, ma credo sia stato Dante.", "Vietato fumare",
        "La garanzia non copre la batteria.", "Non c'è vita sulla Luna.", "Il cavaliere inesistente",
        "Non ci resta che piangere", "Non lo sapeva.", "Non prima del 1990",
        "La legge non fissa un'età minima.", "Non ti scordar di me", "Non è colpevole.",
    ],
    "ru": [
        "Ничего", "Ни один", "Точно не знаю, но думаю, что это Толстой.", "Курить запрещено.",
        "Гарантия не распространяется на батарею.", "На Луне нет жизни.", "Идиот", "Неизвестный солдат",
        "Он этого не знал.", "Не раньше 1990 года", "Закон не устанавливает минимальный возраст.",
        "Не виновен", "Не забывай меня",
    ],
    "zh": [
        "没有人", "无", "我不太确定，不过我想是李白。", "禁止吸烟。", "保修不包括电池。",
        "月球上没有生命。", "红楼梦", "无间道", "他不知道。", "1990年以前没有", "法律没有规定最低年龄。",
        "不能说的秘密", "他无罪。",
    ],
    "ja": [
        "なし", "誰もいない", "はっきりとはわかりませんが、たぶん漱石です。", "喫煙は禁止されています。",
        "保証はバッテリーには適用されません。", "月には生命は存在しません。", "吾輩は猫である",
        "そして誰もいなくなった", "彼は知らなかった。", "1990年まではなかった",
        "法律は最低年齢を定めていません。", "君の名は", "彼は無罪です。",
    ],
    "ko": [
        "아무도", "아무것도 없다", "잘 모르겠지만 아마 이순신일 것입니다.", "흡연은 금지되어 있습니다.",
        "보증은 배터리에 적용되지 않습니다.", "달에는 생명체가 없습니다.", "기생충", "살인의 추억",
        "알 수 없는 이유", "그는 몰랐다.", "1990년까지는 없었다", "법은 최저 연령을 정하지 않습니다.",
        "너의 이름은", "그는 무죄입니다.",
    ],
    "ar": [
        "لا شيء", "ولا واحد", "لا أعرف بالضبط، لكن أظن أنه المتنبي.", "التدخين ممنوع.",
        "الضمان لا يشمل البطارية.", "لا توجد حياة على القمر.", "الجندي المجهول", "موسم الهجرة إلى الشمال",
        "لم يكن يعرف.", "ليس قبل 1990", "القانون لا يحدد سنًا أدنى.", "لا تنساني", "هو غير مذنب.",
    ],
}
# fmt: on
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
