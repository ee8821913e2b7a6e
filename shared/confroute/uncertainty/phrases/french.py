"""How answers decline in French."""

from __future__ import annotations

from confroute.uncertainty.phrases.table import WORD as _W
from confroute.uncertainty.phrases.table import Phrases

_SOURCE = (
    r"(?:documents?|contextes?|textes?|sources?|articles?|extraits?|passages?|informations?|donnees|elements"
    r"|paragraphes?|resultats)"
)
_INFORMATION = (
    r"(?:information|informations|reponse|donnees?|details?|precisions?|mention"
    r"|renseignements?|indication|elements?)"
)
_SAY = (
    r"(?:mentionne\w{0,3}|precise\w{0,3}|indique\w{0,3}|di(?:t|sent)|contien\w{1,5}"
    r"|parle\w{0,2}|fourni\w{0,5}"
    r"|donne\w{0,2}|repond\w{0,3}|specifie\w{0,2}|permet\w{0,4}|cite\w{0,2}|nomme\w{0,2}|aborde\w{0,2})"
)

FRENCH = Phrases(
    cue=r"ne|n'\w{1,12}|pas|aucune?|inconnue?s?|impossible|ignore|l'ignore|desolee?|regrette|non"
    r"|sans|incertaine?",
    openings=r"(?:(?:je suis )?(?:vraiment |sincerement )?desolee?|malheureusement|je regrette"
    r"|pardon|excusez-moi|je m'excuse|toutes mes excuses"
    r"|reponse|la reponse est|honnetement|a vrai dire|en tant qu(?:e |')[^,.;]{1,60},|merci [^,.;]{1,60}"
    r"|(?:d'apres|selon|sur la base d\w{0,3}|a partir d\w{0,3}|dans|compte tenu d\w{0,3}"
    r"|en se basant sur) ?"
    rf"(?:{_W} ){{0,5}}{_SOURCE}(?: {_W}){{0,3}}?,|que)",
    declines=r"(?:je |j'|nous |on )(?:l'ignore|ignore|ne (?:le |la |les |vous |te |pouvons "
    r"|l')?(?:sais|savons|sait)(?: vraiment| malheureusement)? pas"
    rf"|(?:ne |n'|n’)(?:{_W} )?(?:{_W} ){{0,3}}(?:pas|aucune?"
    rf"|rien)(?: {_W}){{0,5}}? ?(?:{_INFORMATION}|idee|aider|repondre|vous (?:aider|repondre"
    r"|donner|fournir|dire)"
    r"|fournir|donner|dire|determiner|trouve\w{0,2}|acces|connaissance|connaissances|sur"
    r"|sure|certaine?|en mesure|capable|autorise|assister|realiser"
    r"|effectuer|creer|generer|accede\w{1,2}|satisfaire|traiter|confirmer|preciser|partager"
    r"|identifier|discuter))"
    r"|je prefere ne pas|je dois (?:refuser|decliner)|je manque d"
    r"|(?:il |cela |ce )?(?:n'est|m'est|est) (?:malheureusement )?(?:pas possible|impossible"
    r"|difficile)(?: pour moi)? d(?:e |')(?:le |la |les )?"
    r"(?:determiner|dire|savoir|repondre|preciser|connaitre|conclure|fournir)"
    r"|il (?:n'est pas (?:precise|indique|mentionne|clair)|est inconnu)"
    rf"|il n'y a (?:pas|aucune?)(?: {_W}){{0,3}}? {_INFORMATION}"
    rf"|aucune? {_INFORMATION}(?= (?:n'|ne|sur|a ce|dans|disponible)|$)"
    r"|(?:les|le|la|l'|ce|ces|cet|cette|aucun des|aucun|rien dans les"
    rf"|rien dans le) ?(?:{_W} ){{0,3}}{_SOURCE}(?: {_W}){{0,3}}?"
    rf" (?:ne |n')(?:l'|le |la |les |en |y )?(?:{_SAY}|est|sont)(?= pas| rien| aucune?| ni|$)"
    rf"|aucun(?: des)? (?:{_W} ){{0,2}}{_SOURCE}(?: {_W}){{0,3}}? (?:ne |n'){_SAY}"
    r"|personne ne (?:le )?sait|(?:cette|l')(?: )?information (?:n'est|ne figure) pas",
    anywhere=rf"(?:n'est|ne sont|n'a|ne figure|n'apparait|n'y a)(?: {_W}){{0,2}}? (?:pas|rien"
    rf"|aucune?)(?: {_W}){{0,4}}? (?:dans|par) (?:{_W} ){{0,3}}{_SOURCE}"
    r"|n'est pas (?:precisee?|mentionnee?|indiquee?|specifiee?)$|ne (?:peut"
    r"|peuvent) (?:pas )?etre determinee?s?(?= a partir| d'apres| avec|$)",
    labels=r"(?:(?:je n'(?:en )?ai )?aucune idee|inconnue?|(?:je )?(?:ne )?sais pas|pas (?:precise"
    r"|indique|disponible|mentionne|specifie|sur|sure)|non (?:precise|disponible|specifie"
    r"|renseigne|mentionne|communique)e?"
    r"|je n'en sais rien|aucune (?:information|reponse|donnee)(?: disponible)?"
    r"|(?:je suis )?desolee?|difficile a dire|impossible a (?:dire|determiner)"
    r"|impossible de (?:le )?(?:dire|savoir|determiner)|n/a|indetermine)",
    beside=r"(?:veuillez|pourriez-vous|pouvez-vous|si vous (?:avez|pouvez|souhaitez|voulez|desirez"
    r"|me|disposez|fournissez)|n'hesitez pas|je vous (?:recommande|conseille|invite"
    r"|suggere)|je peux|vous pouvez|pour (?:plus|obtenir|des)|y a-t-il|merci|je serais"
    r"|j'aurais besoin|il est (?:preferable|recommande)"
    rf"|(?:il|ils|elle|elles|(?:le|les) (?:{_W} )?{_SOURCE}) (?:{_W} )?(?:seulement|uniquement)"
    r"|mes connaissances|puis-je)",
    turns=r",? (?:mais|cependant|toutefois|neanmoins|pourtant),? | ?; ",
    hedges=r"peut-etre|probablement|sans doute|crois|pense|suppose|vraisemblablement|il se peut"
    r"|pourrait etre",
    asks=r"qui|que|quoi|quel\w{0,3}|quand|ou|pourquoi|comment|combien|si|car|puisque|parce|desole"
    r"|et|ni|de|ce|donc|sans|qu'\w{1,12}",
    sources=_SOURCE,
    about_sources=rf"(?:est-ce que|les?|le|la|y a-t-il|l')\b.{{0,80}}(?:{_SOURCE}).{{0,40}}(?:mentionn"
    r"|dise|precis|indiqu|contien)",
)
