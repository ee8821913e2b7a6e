"""How answers decline in Italian."""

from __future__ import annotations

from confroute.uncertainty.phrases.table import WORD as _W
from confroute.uncertainty.phrases.table import Phrases

_SOURCE = (
    r"(?:document[oi]|contest[oi]|test[oi]|font[ei]|articol[oi]|estratt[oi]|bran[oi]"
    r"|passagg(?:io|i)|informazion[ei]|dati|materiali"
    r"|paragraf[oi]|risultati)"
)
_INFORMATION = (
    r"(?:informazion[ei]|dat[oi]|dettagli|rispost[ae]|menzione|riferiment[oi]|indicazion[ei]|conoscenz[ae])"
)
_SAY = (
    r"(?:menziona\w{0,2}|indica\w{0,2}|specifica\w{0,2}|dic(?:e|ono)|contien[ei]|contengono"
    r"|fornisc(?:e|ono)|parla\w{0,2}|riporta\w{0,2}|precisa\w{0,2}"
    r"|cita\w{0,2}|rispond(?:e|ono)|permett\w{1,4}|chiari\w{0,5}|include|includono|offr(?:e|ono))"
)

ITALIAN = Phrases(
    cue=r"non|nessun\w{0,2}|impossibile|sconosciut\w|ignot\w|purtroppo|dispiace|spiacente"
    r"|scusa\w{0,2}|niente|boh|n/a|ignoro|senza",
    openings=r"(?:mi dispiace(?: molto)?|purtroppo|sono spiacente|spiacente|scusa|scusami|scusi"
    r"|mi scuso|sinceramente|onestamente|risposta|la risposta e|grazie [^,.;]{1,60}"
    r"|(?:in quanto|come|essendo) (?:un |una |un')?(?:modello|ia|ai|assistente|intelligenza)[^,.;]{0,60}?,"
    r"|(?:secondo|in base a\w{0,3}|sulla base d\w{1,4}|da\w{0,3}|nell?\w{0,2}"
    rf"|dall\w{{0,2}}) ?(?:{_W} ){{0,5}}{_SOURCE}(?: {_W}){{0,3}}?,|che)",
    declines=r"(?:io |noi )?non (?:lo |ne |lo )?(?:so|sappiamo|conosco)(?= (?:chi|che|cosa|quale"
    r"|quali|quando|dove|come|perche|se|quant\w|nulla|niente|la risposta|il nome"
    r"|esattamente|con certezza|rispondere|dire)|,|$)"
    r"|(?:io |noi )?non (?:ne )?(?:ho|abbiamo|dispongo|possiedo|trovo|vedo|ho trovato"
    r"|sono riuscit[oa] a trovare|ci sono|c'e|esistono|vi sono"
    rf"|risultano)(?: di)?(?: {_W}){{0,3}}? ?(?:{_INFORMATION}|idea|accesso)"
    r"|(?:io |noi )?non (?:ti |le |vi |lo |mi )?(?:posso|possiamo|riesco a|e possibile"
    r"|mi e possibile|sono in grado di|saprei|si puo|devo"
    rf"|e stato possibile)(?: {_W}){{0,2}}? ?(?:aiutar\w{{1,3}}|risponder\w{{1,3}}"
    r"|fornir\w{1,3}|determinar\w{1,3}|dir\w{1,3}"
    r"|dar\w{1,3}|offrir\w{1,3}|trovar\w{1,3}|saper\w{1,3}|assister\w{1,3}|soddisfare|creare"
    r"|generare|accedere|confermare|identificare|precisare|stabilir\w{1,3}|dedurre|condividere"
    r"|farlo)"
    r"|(?:io )?non (?:ne )?sono (?:del tutto |molto |completamente )?(?:sicur[oa]|cert[oa]"
    r"|autorizzat[oa])|e (?:impossibile|difficile) (?:da )?(?:determinare|sapere|dire"
    r"|rispondere|stabilire)\w{0,2}|preferisco non|ignoro|nessuno (?:lo )?sa"
    rf"|non (?:viene|e|sono|vengono|si) (?:{_W} )?(?:menziona|specifica|indica|precisa|riporta"
    r"|forni|sa)\w{0,3}(?=$| (?:nel|in|da|chi|quando|dove|come|perche|quale|quant\w|cosa|se"
    r"|il|la|l'))"
    r"|(?:i|il|la|le|lo|gli|questo|questi|nessuno dei|nei|nel|nello|nelle|dal|dai|l'"
    rf"|nell') ?(?:{_W} ){{0,2}}{_SOURCE}(?: {_W}){{0,3}}? non (?:lo |ne |si |e |sono |viene "
    rf"|c'e |ci sono )?(?:{_W} )?(?:{_SAY}|indicat\w|menzionat\w|specificat\w|riportat\w"
    rf"|presente|sufficient\w|{_INFORMATION})"
    rf"|(?:nessuno dei|nessun|nessuna delle) (?:{_W} )?{_SOURCE}(?: {_W}){{0,3}}? (?:lo )?{_SAY}",
    anywhere=rf"non (?:e|sono|viene|vengono|c'e|compare|risulta)(?: {_W}){{0,4}}? (?:ne\w{{0,3}}|in"
    rf"|da\w{{0,2}}) ?(?:{_W} ){{0,2}}{_SOURCE}|non (?:e|viene) (?:menzionat|specificat"
    r"|indicat|precisat|riportat)[oa]$|non puo essere determinat[oa](?= dal| con| in base"
    r"|$)",
    labels=r"(?:(?:io )?non (?:lo )?so|(?:non ne ho |non ho )?(?:nessuna |la minima |alcuna )?idea"
    r"|boh|sconosciut[oa]|ignot[oa]|non (?:specificat[oa]|disponibile|menzionat[oa]"
    r"|indicat[oa]|noto|nota|applicabile|pervenut[oa]|determinabile)|n/a"
    r"|nessuna (?:informazione|risposta)(?: disponibile)?"
    r"|mi dispiace|spiacente|difficile (?:a dirsi|da dire)|impossibile (?:dirlo|saperlo"
    r"|da determinare|determinarlo)|non saprei(?: dire)?|non (?:ne )?sono sicur[oa]|non si sa)",
    beside=r"(?:per favore|se (?:hai|ha|vuoi|vuole|puoi|puo|mi|desidera|desideri|ci)|potresti"
    r"|potrebbe|puoi|puo|ti (?:consiglio|suggerisco)|le (?:consiglio|suggerisco)|posso"
    r"|c'e altro|sono qui|ho bisogno|per (?:ulteriori|maggiori|favore)|consulta|fammi"
    rf"|(?:il|i) (?:{_W} )?{_SOURCE} (?:{_W} )?(?:solo|soltanto|unicamente)|le mie conoscenze)",
    turns=r",? (?:ma|pero|tuttavia|anche se|comunque),? |; ",
    hedges=r"forse|probabilmente|possibilmente|credo|penso|suppongo|magari|potrebbe essere",
    asks=r"chi|che|cosa|quale|quali|quando|dove|come|perche|quant\w|se|poiche|e|ne|mi|in|senza|quindi|il",
    sources=_SOURCE,
    about_sources=r"(?:menziona\w?|dic\w{1,3}|indica\w?|c'e|contien[ei]|i|il"
    rf"|parla\w?)\b.{{0,80}}\b{_SOURCE}\b.{{0,40}}",
)
