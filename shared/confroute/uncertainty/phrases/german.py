"""How answers decline in German."""

from __future__ import annotations

from confroute.uncertainty.phrases.table import WORD as _W
from confroute.uncertainty.phrases.table import Phrases

_TEXT = (
    r"(?:dokument\w{0,3}|kontext\w{0,2}|text\w{0,3}|quelle\w?|artikel\w?|unterlage\w?"
    r"|auszug\w{0,2}|auszuge\w?"
    r"|abschnitt\w{0,3}|materialien|textstelle\w?|passage\w?|datei\w{0,2})"
)
_SOURCE = rf"(?:{_TEXT}|informationen|angaben|daten)"
_INFORMATION = (
    r"(?:informationen|information|angaben?|auskunfte?|daten|hinweise?|erwahnung|antwort|kenntnis\w{0,3})"
)
_SAY = (
    r"(?:erwahnt|erwahnen|sagt|sagen|nennt|nennen|enthalt|enthalten|geht|gehen|angegeben|steht|stehen|genannt"
    r"|beantwortet|beantworten|aufgefuhrt|beschrieben|hervor|gesagt|gibt|geben|liefert|liefern"
    r"|verrat|verraten)"
)
_OF_ONESELF = (
    r"(?=[^,]{0,80}\b(?:ich|wir|mir|uns)\b)(?=[^,]{0,140}\b(?:nicht|nichts|keine?[nrs]?|keinerlei|fehlt|fehlen)\b)"
    r"[^,]{0,140}\b(?:weiss|wissen|bekannt|gefunden|finden?|fand|sagen|beantworten|antworten|helfen"
    r"|weiterhelfen|behilflich|dienen|geben|bereitstellen|bestimmen|beurteilen|nennen|erstellen|unterstutzen"
    r"|erfullen|nachkommen|entnehmen|ermitteln|bestatigen|anbieten|feststellen|teilen|informationen|angaben"
    r"|auskunfte?|hinweise?|daten|kenntnis\w{0,3}|ahnung|zugriff|zugang|idee|sicher|in der lage|befugt"
    r"|berechtigt|verstehe|erinnern|uberfragt)\b(?:[^,]{0,40}\b(?:nicht|nichts)\b)?"
    r"|ich bin (?:mir )?(?:da )?(?:unsicher|uberfragt)"
)
_OF_SOURCES = (
    rf"(?=[^,]{{0,140}}\b(?:{_TEXT}|(?:bereitgestellte|vorliegende|gegebene|vorhandene"
    rf"|verfugbare)n? {_SOURCE})\b)(?=[^,]{{0,140}}\b(?:nicht|nichts|keine?[nrs]?|keinerlei"
    r"|fehlt|fehlen)\b)"
    rf"[^,]{{0,140}}\b(?:{_SAY}|{_INFORMATION}|fehlt|fehlen|entnehmen|bestimmen|ersichtlich"
    r"|reich(?:t|en)|ausreich\w{1,4})\b"
    r"(?:[^,]{0,60}\b(?:nicht|nichts|keine?[nrs]?)\b)?"
)

GERMAN = Phrases(
    cue=r"nicht|fehl(?:t|en)|nichts|kein\w{0,2}|leider|unbekannt|unklar|weder|unmoglich|ahnung|ohne|tut mir"
    r"|entschuldig\w{1,5}"
    r"|uberfragt|passe",
    openings=r"(?:leider|sorry|es tut mir (?:sehr )?leid|tut mir leid|entschuldigung"
    r"|entschuldigen sie(?: bitte)?"
    r"|ich bedauere?|bedauerlicherweise|ehrlich gesagt|antwort|die antwort lautet|danke fur [^,.;]{1,60}"
    r"|als (?:ein |eine )?(?:ki|kunstliche|sprachmodell|virtueller?)[^,.;]{0,50}?(?=,| kann| habe| bin| darf)"
    r"|(?:auf (?:der )?(?:grundlage|basis)|basierend auf|laut|gemass|anhand|aufgrund|nach|in|im|aus) "
    rf"(?:{_W} ){{0,5}}{_SOURCE}(?=,| kann| lasst| ist| habe)|dass|da)",
    declines=rf"{_OF_ONESELF}"
    rf"|(?:das|dies|es|die antwort|die frage)(?: {_W}){{0,3}}? (?:lasst|lassen|kann|ist|wird"
    rf"|geht)(?: sich)?(?: {_W}){{0,6}}? nicht"
    rf" (?:{_W} ){{0,4}}(?:sagen|bestimmen|beantworten|feststellen|ermitteln|bekannt|klar"
    rf"|{_SAY}|ersichtlich|beantwortet"
    r"|bestimmt|ermittelt)"
    rf"|(?:lasst|lassen) sich (?:{_W} ){{0,4}}nicht (?:{_W} ){{0,2}}(?:sagen|bestimmen"
    r"|beantworten|feststellen|ermitteln|entnehmen|ableiten|beurteilen)"
    r"|es ist (?:mir )?(?:leider )?(?:unbekannt|unklar|nicht bekannt|nicht klar|nicht moglich"
    r"|unmoglich)(?=,|$| z)"
    rf"|(?:(?:daruber|dazu|hierzu|mir|uns|davon|zu {_W}) (?:liegen|liegt|gibt es|finden sich"
    r"|findet sich|fehlen)"
    r"|es gibt|es liegen|es finden sich"
    rf")(?: {_W}){{0,4}}?"
    rf" keine?(?: {_W}){{0,2}}? {_INFORMATION}"
    rf"|keine? (?:{_W} )?{_INFORMATION}(?= (?:zu|uber|verfugbar|vorhanden|im|in|gefunden)\b|$)"
    r"|niemand weiss|das weiss (?:ich|niemand|keiner) nicht|das weiss (?:niemand|keiner)"
    rf"|{_OF_SOURCES}"
    rf"|keine[sr]? (?:der|dieser) (?:{_W} ){{0,2}}{_SOURCE}(?: {_W}){{0,1}}? {_SAY}",
    anywhere=rf"(?:wird|werden|ist|sind)(?: {_W}){{0,6}}? {_SOURCE}(?: {_W}){{0,3}}? nicht (?:{_W} )?"
    r"(?:erwahnt|genannt|angegeben|beschrieben|aufgefuhrt|enthalten|beantwortet)"
    rf"|(?:geht|gehen|lasst sich|lassen sich|kann)(?: {_W}){{0,3}}? (?:aus"
    rf"|anhand)(?: {_W}){{0,4}}? {_SOURCE}(?: {_W}){{0,2}}?"
    r" nicht (?:hervor|entnehmen|bestimmen|entnommen|sagen|ermitteln|beantworten)"
    r"|nicht (?:angegeben|erwahnt|genannt|spezifiziert)$"
    r"|(?<=, )weiss ich (?:leider |auch ){0,2}nicht$|(?<=, )(?:ist|bleibt) (?:mir |leider "
    r"|hier |uns ){0,2}(?:nicht bekannt|unbekannt|unklar)$",
    labels=r"(?:(?:ich habe )?(?:leider )?keine ahnung|unbekannt|unklar|keine (?:angabe|angaben"
    r"|antwort|information"
    r"|informationen|daten)(?: verfugbar| vorhanden| gefunden)?|(?:leider )?nicht (?:bekannt"
    r"|angegeben|verfugbar|sicher|ersichtlich"
    r"|erwahnt|bestimmbar|vorhanden|genannt)|k\. ?a|weiss (?:ich )?(?:es )?(?:leider )?nicht"
    r"|schwer zu sagen|(?:es )?tut mir leid"
    r"|entschuldigung|da muss ich passen|da bin ich uberfragt|das weiss ich (?:leider )?nicht)",
    beside=r"(?:bitte|(?:wenn|falls|sofern) (?:sie|du|es) (?!.{0,80}\bmein(?:en|st)\b)|konnen sie"
    r"|konntest du|konnten sie|kannst du|gibt es|lassen sie|lass mich|gerne|ich empfehle"
    r"|sie konnen|sie sollten"
    r"|du kannst|ich kann (?:ihnen |dir )?(?:gerne|nur|aber)|fur (?:weitere|genauere|aktuelle)"
    r"|wenden sie|ich (?:helfe|benotige|brauche|bitte)"
    rf"|(?:es|sie|er|(?:der|die|das) (?:{_W} )?{_SOURCE}) (?:{_W} )?(?:nur|lediglich"
    r"|ausschliesslich)|mein wissen|meine)",
    turns=r",? (?:aber|jedoch|allerdings|doch|obwohl),? |; ",
    hedges=r"vielleicht|wahrscheinlich|vermutlich|moglicherweise|glaube|denke|vermute|schatze"
    r"|konnte es|eventuell|wohl|nehme an",
    asks=r"wer|wen|wem|wessen|was|welche\w?|wann|wo|woher|wohin|warum|weshalb|wie|wieviel|ob|da"
    r"|weil|denn|tut|leider|und|oder|dass|so|um|wozu|womit|wovon|woran",
    sources=_SOURCE,
    about_sources=r"(?:steht|stehen|wird|werden|erwahnt|erwahnen|enthalt|enthalten|gibt|sagt|sagen"
    rf"|nennt|nennen|ist|sind)\b.{{0,80}}\b{_SOURCE}\b",
)
