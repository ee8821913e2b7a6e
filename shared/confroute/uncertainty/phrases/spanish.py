"""How answers decline in Spanish."""

from __future__ import annotations

from confroute.uncertainty.phrases.table import WORD as _W
from confroute.uncertainty.phrases.table import Phrases

_SOURCE = (
    r"(?:documentos?|contextos?|textos?|fuentes?|articulos?|fragmentos?|pasajes?|informacion(?:es)?|datos"
    r"|materiales|parrafos?|resultados?|archivos?)"
)
_INFORMATION = (
    r"(?:informacion(?:es)?|datos?|detalles?|respuestas?|mencion(?:es)?|referencias?"
    r"|conocimientos?|constancia)"
)
_SAY = (
    r"(?:menciona\w{0,1}|indica\w{0,1}|especifica\w{0,1}|dice\w{0,1}|contiene\w{0,1}"
    r"|proporciona\w{0,1}|incluye\w{0,1}|habla\w{0,1}"
    r"|responde\w{0,1}|ofrece\w{0,1}|detalla\w{0,1}|precisa\w{0,1}|aclara\w{0,1}|aporta\w{0,1}"
    r"|permite\w?|nombra\w{0,1}|da|dan)"
)

SPANISH = Phrases(
    cue=r"no|ninguna?|nadie|ni|nada|desconoc\w{1,5}|imposible|lamento|lamentablemente|siento"
    r"|perdon|desafortunadamente|sin|disculpa\w{0,1}",
    openings=r"(?:lo siento(?: mucho)?|lamentablemente|desafortunadamente|lamento[^,.;]{0,40}"
    r"|perdon|disculpa|disculpe|por desgracia|mis disculpas|respuesta"
    r"|la respuesta es|sinceramente|la verdad es que|honestamente|como (?:un |una )?(?:modelo"
    r"|ia|asistente|inteligencia)[^,.;]{0,60}?,"
    r"|(?:segun|con base en|basado en|basandome en|de acuerdo con|en base a|a partir de|en"
    rf"|con) (?:{_W} ){{0,5}}{_SOURCE}(?: {_W}){{0,3}}?,|gracias [^,.;]{{1,60}}|que)",
    declines=r"(?:yo )?no (?:lo )?se(?= (?:quien|que|cual\w{0,2}|cuando|donde|como|por que|si"
    r"|cuant\w{1,2}|nada|la respuesta|el nombre|exactamente|con certeza)|,|$)"
    r"|(?:yo )?(?:lo )?desconozco|ignoro|(?:yo |nosotros )?no (?:te |le |les |os |lo |la "
    r"|me )?(?:tengo|tenemos|dispongo|cuento con|poseo|encuentro|encontre"
    r"|he (?:podido )?encontra\w{1,2}|veo|hay|existen?|se (?:dispone|encuentra\w?|encontro"
    r"|ha encontrado))"
    r" ?(?:de |con |ninguna? |suficientes? |mas |acceso |la menor "
    rf"|{_W} ){{0,4}}(?:{_INFORMATION}|idea|acceso|certeza)"
    r"|(?:yo )?no (?:te |le |les |os |lo |la |me )?(?:puedo|podemos|pude|podria|es posible"
    r"|me es posible|resulta posible|soy capaz de|se puede|puede|sabria"
    rf"|debo)(?: {_W}){{0,3}}? ?(?:ayudar\w{{0,3}}|responder\w{{0,3}}|contestar\w{{0,3}}"
    r"|proporcionar\w{0,3}|determinar\w{0,3}|decir\w{0,3}|dar\w{0,3}|ofrecer\w{0,3}|encontrar"
    r"|saber\w{0,2}|brindar\w{0,3}|asistir\w{0,3}|cumplir|realizar|crear|generar|acceder"
    r"|confirmar|identificar|precisar|establecer|inferir|compartir|hacer eso)"
    r"|(?:yo )?no estoy (?:del todo |completamente |muy )?(?:segur[oa]|autorizad[oa]"
    r"|capacitad[oa]|en condiciones)"
    r"|es (?:imposible|dificil) (?:de )?(?:determinar|saber|decir|responder)\w{0,2}"
    r"|prefiero no|debo (?:rechazar|declinar)|nadie (?:lo )?sabe"
    r"|no se (?:menciona\w?|especifica\w?|indica\w?|dice|proporciona\w?|detalla\w?|precisa\w?"
    r"|sabe|aclara|ofrece\w?|conoce)"
    r"|(?:los|el|la|las|este|estos|esta|ninguno de los|ningun|en el|en los"
    rf"|en la) (?:{_W} ){{0,2}}{_SOURCE}(?: {_W}){{0,3}}? no (?:se )?(?:lo |la |me )?(?:{_SAY}"
    r"|hay|aparece|figura|es suficiente|son suficientes|esta)"
    r"|(?:ninguno de los|ningun"
    rf"|ninguna de las) (?:{_W} )?{_SOURCE}(?: {_W}){{0,3}}? (?:lo )?{_SAY}|(?:esa|esta"
    r"|la) informacion no (?:esta|se)",
    anywhere=rf"no (?:se |esta |aparece |figura |es )(?:{_W} ){{0,4}}?(?:en"
    rf"|por) (?:{_W} ){{0,2}}{_SOURCE}|no se (?:menciona|especifica|indica|precisa)$"
    r"|no (?:se )?puede (?:ser )?determinar?(?:se)?(?= a partir| con|$)",
    labels=r"(?:(?:no tengo )?ni idea|(?:no tengo )?(?:la menor |ninguna )?idea"
    r"|(?:yo )?(?:no )lo se|no se|desconocid[oa]|no (?:especificad[oa]|disponible"
    r"|mencionad[oa]|consta|hay datos|aplica|indicad[oa])|n/a|sin (?:informacion|datos"
    r"|respuesta)"
    r"|lo desconozco|lo siento(?: mucho)?|se desconoce|imposible (?:saberlo|de saber"
    r"|determinarlo|de determinar)|dificil de decir|ninguna informacion(?: disponible)?"
    r"|no estoy segur[oa])",
    beside=r"(?:por favor|si (?:tienes|tiene|necesitas|necesita|me|puedes|puede|deseas|desea|hay)"
    r"|podrias|podria|puedes|puede|te (?:recomiendo|sugiero)|le (?:recomiendo|sugiero)"
    r"|puedo|hay algo|estoy aqui|necesito|para (?:mas|obtener)|consulta|¿"
    rf"|(?:solo|unicamente)|(?:el|los) (?:{_W} )?{_SOURCE} (?:{_W} )?(?:solo|unicamente)"
    r"|mi(?:s)? conocimientos?)",
    turns=r",? (?:pero|sin embargo|aunque|no obstante),? |; ",
    hedges=r"quizas?|tal vez|probablemente|posiblemente|creo|pienso|supongo|seguramente|podria ser"
    r"|a lo mejor",
    asks=r"quien\w{0,2}|que|cual\w{0,2}|cuando|donde|como|por que|por|cuant\w{1,2}|si|ya|porque"
    r"|lo|y|ni|pues|sin|asi|para",
    sources=_SOURCE,
    about_sources=r"¿?(?:menciona\w?|dice\w?|indica\w?|hay|contiene\w?|los|el|se"
    rf"|habla\w?)\b.{{0,80}}\b{_SOURCE}\b.{{0,40}}",
)
