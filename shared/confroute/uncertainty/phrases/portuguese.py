"""How answers decline in Portuguese."""

from __future__ import annotations

from confroute.uncertainty.phrases.table import WORD as _W
from confroute.uncertainty.phrases.table import Phrases

_SOURCE = (
    r"(?:documentos?|contextos?|textos?|fontes?|artigos?|trechos?|passagens|passagem"
    r"|informac(?:ao|oes)|dados|materiais"
    r"|paragrafos?|resultados?|arquivos?|excertos?)"
)
_INFORMATION = r"(?:informac(?:ao|oes)|dados?|detalhes?|respostas?|menc(?:ao|oes)|referencias?|conhecimento)"
_SAY = (
    r"(?:menciona\w{0,1}|indica\w{0,1}|especifica\w{0,1}|diz\w{0,2}|contem|fornece\w{0,1}"
    r"|inclu(?:i|em)|fala\w{0,1}|responde\w{0,1}|informa\w{0,1}"
    r"|oferece\w{0,1}|detalha\w{0,1}|traz\w{0,2}|apresenta\w{0,1}|permite\w?|esclarece\w{0,1}"
    r"|cita\w{0,1}|da|dao)"
)

PORTUGUESE = Phrases(
    cue=r"nao|nenhuma?|ninguem|nada|desconhec\w{1,4}|impossivel|lamento|infelizmente"
    r"|desculp\w{1,3}|sem|sinto|preciso",
    openings=r"(?:desculpe|desculpa|desculpas|(?:eu )?sinto muito|(?:eu )?lamento(?: muito)?"
    r"|infelizmente|peco desculpas?|perdao|resposta|a resposta e|sinceramente|honestamente"
    r"|como (?:um |uma )?(?:modelo|ia|assistente|inteligencia)[^,.;]{0,60}?,"
    r"|(?:segundo|com base n?\w{0,3}|de acordo com|a partir d\w{1,2}|n[oa]s?|em"
    rf"|conforme) (?:{_W} ){{0,5}}{_SOURCE}(?: {_W}){{0,3}}?,|obrigad[oa] [^,.;]{{1,60}}|que)",
    declines=r"(?:eu |nos )?nao (?:o |a |te |lhe |vos )?(?:sei|sabemos|faco (?:a menor "
    r"|a minima )?ideia|conheco|tenho (?:a menor |a minima )?(?:ideia|certeza)"
    rf"|estou (?:{_W} )?(?:autorizad[oa]|cert[oa]|segur[oa]|em condicoes))"
    r"|(?:eu |nos )?nao (?:tenho|temos|possuo|disponho|encontrei|consegui encontrar"
    r"|consigo encontrar|ha|existem?|foram? encontrad\w{1,2}|vejo"
    rf"|foi possivel encontrar)(?: de)?(?: {_W}){{0,3}}? ?(?:{_INFORMATION}|acesso)"
    r"|(?:eu |nos )?nao (?:te |lhe |o |a |me )?(?:posso|podemos|pude|consigo|conseguimos"
    r"|e possivel|me e possivel|foi possivel|sou capaz de|saberia|devo|da para|ha como"
    rf"|se pode)(?: {_W}){{0,2}}? ?(?:ajudar|ajuda-lo|ajuda-la|responder|fornecer|determinar"
    r"|dizer|dar|oferecer|encontrar"
    r"|saber|atender|auxiliar|realizar|criar|gerar|acessar|aceder|confirmar|identificar"
    r"|precisar|estabelecer|inferir|partilhar|compartilhar|cumprir|fazer isso|prestar|informar"
    r"|afirmar)"
    r"|e (?:impossivel|dificil) (?:determinar|saber|dizer|responder)|prefiro nao|desconheco"
    r"|ninguem sabe|preciso de mais (?:informacoes|contexto|detalhes)"
    r"|nao ha (?:nenhuma? )?(?:mencao|informacao|informacoes)"
    rf"|nao (?:e|sao|foi|foram|esta|estao) (?:{_W} )?(?:mencionad|especificad|indicad|informad"
    r"|fornecid|citad)[oa]s?"
    r"|(?:os|o|a|as|este|estes|esse|nenhum d[oa]s|nos|no|na"
    rf"|nas) (?:{_W} ){{0,2}}{_SOURCE}(?: {_W}){{0,3}}? nao (?:o |a |se )?(?:{_SAY}|ha"
    r"|consta\w?|aparece|e suficiente|sao suficientes|esta)"
    rf"|(?:nenhum d[oa]s|nenhum|nenhuma das) (?:{_W} )?{_SOURCE}(?: {_W}){{0,3}}? {_SAY}"
    r"|(?:essa|esta|a) informacao nao (?:esta|consta|foi)",
    anywhere=r"nao (?:e|sao|foi|foram|esta|estao|consta\w?|aparece\w?"
    rf"|ha)(?: {_W}){{0,4}}? (?:n[oa]s?|em|pel[oa]s?) (?:{_W} ){{0,2}}{_SOURCE}|nao (?:e"
    r"|foi) (?:mencionad|especificad|indicad|informad)[oa]$"
    r"|nao pode ser determinad[oa](?= a partir| com|$)",
    labels=r"(?:(?:eu )?nao sei(?: dizer| responder)?|(?:nao faco |nenhuma |nao tenho )?ideia"
    r"|sei la|desconhecid[oa]|nao (?:especificad[oa]|disponivel|mencionad[oa]|informad[oa]"
    r"|consta|aplicavel|indicad[oa]|ha dados)|n/a|sem (?:informac(?:ao|oes)|dados|resposta"
    r"|ideia)"
    r"|desculpe?a?|sinto muito|impossivel (?:saber|dizer|determinar)|dificil (?:de )?dizer"
    r"|nenhuma informacao(?: disponivel)?|nao tenho certeza)",
    beside=r"(?:por favor|se (?:voce (?:tiver|puder|quiser|precisar|fornecer)|tiver|precisar"
    r"|quiser|puder|houver|desejar)|voce (?:pode|poderia)|poderia|pode|recomendo|sugiro"
    r"|posso|ha algo|estou aqui|preciso|para (?:mais|obter)|consulte|fico"
    rf"|(?:ele|eles|ela|elas|(?:o|os) (?:{_W} )?{_SOURCE})?(?: {_W})? ?(?:apenas|somente)|meu conhecimento)",
    turns=r",? (?:mas|porem|no entanto|entretanto|contudo|embora|todavia),? |; ",
    hedges=r"talvez|provavelmente|possivelmente|acho|acredito|creio|suponho|penso|pode ser",
    asks=r"quem|que|qual|quais|quando|onde|como|por que|por|quant\w{1,2}|se|pois|porque|ja|e|nem"
    r"|desculpe|sem|para|portanto|o",
    sources=_SOURCE,
    about_sources=r"(?:menciona\w?|diz\w{0,2}|indica\w?|ha|contem|os|o"
    rf"|fala\w?)\b.{{0,80}}\b{_SOURCE}\b.{{0,40}}",
)
