"""How answers decline in English."""

from __future__ import annotations

from confroute.uncertainty.phrases.table import WORD as _W
from confroute.uncertainty.phrases.table import Phrases

_SOURCE = (
    r"(?:documents?|contexts?|texts?|passages?|sources?|articles?|excerpts?|information|materials|content"
    r"|snippets?|(?:search )?results?|paragraphs?|files?|records|knowledge base|data|conversation|transcript"
    r"|details|references)"
)
_CAN = (
    r"(?:answer|determine|provide|find|locate|access|verify|confirm|identify|give you|give an?|give any"
    r"|give (?:medical|legal|financial|specific|personal|advice)|help(?: you)?(?: with| to| in|$)|assist"
    r"|comply|fulfill?|create|generate|discuss|share|offer|recommend (?:an?|any|specific)|predict|speculate"
    r"|complete (?:this|that|your)|process|respond|browse|disclose|reveal|comment|know|recall|remember"
    r"|make (?:a|any) (?:determination|judgment|prediction)|advise|do (?:that|this)|engage|continue|infer"
    r"|say(?:$| for| with| who| what| which| when| where| how| if| whether| exactly| anything)"
    r"|tell(?:$| you| from| who| what| which| when| where| how| if| whether| exactly)"
    r"|see (?:any|an?|the) (?:information|mention|answer|reference|image)|have|be (?:sure|certain))"
)
_INFORMATION = (
    rf"(?:{_W} ){{0,3}}(?:information|mention|details?|data|indication|reference|answer|context|facts)"
)
_SAY = (
    r"(?:say|mention|state|specify|contain|provide|include|tell|answer|give|indicate|address|discuss|reveal"
    r"|list|name|explain|cover|have|describe|clarify|detail|refer|offer|disclose|identify|suggest|talk|show)"
)
_NOT = r"(?: not|n't)(?: explicitly| directly| specifically| actually| clearly| seem to| appear to)?"
_STATED = (
    r"(?:mentioned|stated|specified|provided|given|included|found|available|listed|named|described"
    r"|disclosed|covered|present|addressed|discussed|contained|indicated|identified)"
)

ENGLISH = Phrases(
    cue=r"not|never|n't|dont|no|none|nothing|nobody|cannot|cant|un\w{1,20}|insufficient"
    r"|impossible|idk|dunno|n/a"
    r"|na|decline|sorry|apologi[sz]e|apologies|hard|difficult|beyond|outside|lacks?|silent|need|without"
    r"|against|rather|beats|idea|clue",
    openings=r"(?:unfortunately|sorry|i'm (?:so |very |really )?sorry|i am (?:so |very |really )?sorry"
    r"|i'm afraid|i am afraid|i apologi[sz]e(?: for [^,.;]{1,60})?|(?:my )?apologies|regrettably|honestly"
    r"|hmm|well|oh|actually|thank you for [^,.;!]{1,60}|thanks for [^,.;!]{1,60}|the answer is"
    r"|(?:the )?answer"
    r"|to be honest|frankly|at (?:this|the) (?:time|moment)|currently|as of (?:now|my last update)|that"
    r"|(?:as|being|because i'm|since i'm) (?:an? )?(?:ai|artificial|large language|language|virtual|helpful)"
    r"[^,.;]{0,80}?(?:,|(?= (?:i|we) ))"
    r"|(?:based (?:solely |only )?(?:up)?on|according to|from|given|in|within|using|judging by|looking at) "
    rf"(?:{_W} ){{0,5}}{_SOURCE}(?: {_W}){{0,4}}?,"
    rf"|(?:based (?:solely |only )?(?:up)?on|from|given) (?:{_W} ){{0,4}}{_SOURCE}"
    r"(?: you| that)?(?: have| has)?(?: been)?(?: provided| given| shared)?"
    r"|without [^,.;]{1,100},|i understand [^,.;]{1,80},)",
    declines=r"(?:i|we)(?: really| honestly| unfortunately| currently| also| personally| still| just| simply"
    r"| actually| myself)? (?:(?:do not|don't|dont)(?: really| actually| currently| personally)?"
    r" (?:know|have|recall|remember|possess|understand(?: the| your| what)|feel comfortable"
    rf"|see (?:any|an?|the) {_INFORMATION})"
    r"|(?:cannot|can't|can not|cant|could not|couldn't|am unable to|am not able to|was unable to|will not"
    r"|was not able to|wasn't able to|won't|am not going to)(?: really| currently| confidently| definitively"
    rf"| accurately)? {_CAN}"
    rf"|(?:did not|didn't|have not|haven't) (?:find|found|see|come across) {_INFORMATION}"
    rf"|(?:find|found|see|could find|have|can find) no {_INFORMATION}"
    r"|have (?:no (?:idea|knowledge|clue|record|memory|access|way of|means of)"
    rf"|(?:no|not enough|insufficient) {_INFORMATION})"
    rf"|lack (?:the )?{_INFORMATION}|(?:would )?need more {_INFORMATION}|would rather not"
    r"|prefer not to|(?:must|have to) (?:respectfully |politely )?decline|am not [a-z]{1,12} sure)"
    r"|(?:i'm|i am|we're|we are)(?: really| honestly| unfortunately| currently| also| still| just| simply"
    r"| genuinely)? (?:not (?:entirely |quite |really |at all |exactly )?(?:sure|aware|certain|familiar"
    r"|comfortable|allowed|permitted|authori[sz]ed|qualified|programmed|designed|in a position)"
    rf"|(?:not able|unable) to {_CAN}|unsure|uncertain|unaware|unfamiliar)"
    r"|(?:idk|(?:i )?dunno)(?=$|,| (?:who|what|which|when|where|why|how|if|that|this))"
    r"|(?:that's|that is|this is|it's) (?:not something|nothing) (?:that )?i (?:can|could"
    r"|am able to)|i'd rather not|(?:don't|do not) know|can't say|cannot say"
    rf"|(?:cannot|can't|unable to|not able to|could not|couldn't) (?:answer|determine|find {_INFORMATION}"
    r"|provide|be determined|help with)"
    r"|(?:it is|it's|it remains) (?:currently )?(?:unknown|unclear|not known|not clear"
    r"|not (?:stated|specified|mentioned|provided|given)(?=$| (?:who|what|which|when|where|why"
    r"|how|if|whether))"
    rf"|not (?:stated|specified|mentioned|provided|given) (?:in|by|within) (?:{_W} ){{0,4}}{_SOURCE})"
    r"|(?:it is|it's) (?:not possible|impossible|not feasible|difficult|hard) (?:for me )?to (?:say|tell"
    r"|determine|know|answer|identify|establish|conclude|infer|provide|ascertain|find out|be certain)"
    r"|it (?:cannot|can't|can not) be (?:determined|said|known|inferred)"
    rf"|there(?: is|'s| are|'re)(?: no| not any| not enough| insufficient|n't any|n't enough) {_INFORMATION}"
    r"|there is no way (?:to (?:know|tell|say|determine)|of knowing)"
    r"|(?:not enough|insufficient|no (?:specific |further |relevant |such )?) ?(?:information|details?|data"
    r"|mention|context|indication)(?= (?:(?:is|are|was|were|could be|can be"
    r"|has been) (?:available|provided|given|found|included|mentioned|known|to)|about|on"
    r"|regarding|in|of|available"
    r"|provided|given|found|that|concerning|for|to)\b|$)"
    r"|(?:no one|nobody)(?: really| actually)? knows"
    rf"|(?:the|this|these|that|those|my|our|your|none of the|any|neither|nothing in the|no) (?:{_W} ){{0,3}}"
    rf"{_SOURCE}(?: {_W}){{0,5}}? (?:(?:(?:do|does|did){_NOT}|never) {_SAY}s?"
    rf"|(?:contain|provide|include|give|offer|ha)(?:s|ve|es)? no {_INFORMATION}|lacks? {_INFORMATION}"
    r"|(?:is|are) (?:silent|insufficient|not sufficient))"
    rf"|(?:none of the|no|nothing in the|neither) (?:{_W} ){{0,3}}{_SOURCE}(?: {_W}){{0,3}}? "
    rf"{_SAY}(?:s|es|ed)?"
    r"|my (?:training data|knowledge|training|guidelines|programming)(?: cut-?off)? (?:does|do"
    r"|only|was|is|ends"
    r"|prevents?|prohibits?)"
    r"|(?:that|this|it)(?: is|'s| would be) (?:beyond|outside(?: of)?|not within|against) my"
    r"|(?:that|this|the|your) (?:information|answer|question|request|detail) (?:is|was|can)(?: not|n't|not)",
    anywhere=rf"(?:is|are|was|were){_NOT} {_STATED}(?: or {_W})?(?: {_W}){{0,2}}? "
    rf"(?:in|by|from|within|among) (?:{_W} ){{0,4}}{_SOURCE}"
    rf"|(?:is|are|was|were){_NOT} (?:mentioned|stated|specified|disclosed|provided)$"
    r"|can(?:not|'t| not) be (?:reliably |definitively )?(?:determined|answered|inferred|established"
    r"|ascertained)(?= from| based| with| without| by| using| given|$)",
    labels=r"(?:(?:i'm |i am )?(?:not|un)(?: entirely| really| quite)? ?(?:sure|certain)|(?:i have )?no idea"
    r"|(?:no|not a) clue|beats me|n/?a|unknown|unclear|undetermined|unspecified|unanswerable"
    r"|undisclosed|not (?:known|applicable|available|provided|specified|mentioned|stated|given"
    r"|found|disclosed"
    r"|sure|certain|enough information|answerable|clear)(?: in (?:the )?(?:[a-z]{1,12} )?"
    rf"{_SOURCE}| here| yet)?|cannot (?:answer|say|tell|determine|know|be determined|be answered)"
    r"|can't (?:answer|say|tell|know)|unable to (?:answer|say|tell|determine|help)(?: that| this)?"
    r"|no (?:answer|information|data|details|comment|context)(?: available| found| provided| given)?"
    r"|information (?:is )?(?:not available|unavailable|not provided|not found)|(?:it's "
    r"|it is )?(?:hard|difficult)"
    r" to (?:say|tell)|(?:i )?(?:don't|do not|dont) know(?: that| this| the answer| it)?"
    r"|insufficient (?:information|data|context)|(?:i'm |i am )?(?:so |very )?sorry|(?:my )?apologies"
    r")(?: sorry|, sorry)?",
    beside=r"(?:(?:could|can|would) you|please|if you (?:have|can|could|need|want|would|provide"
    r"|give|share|tell|let|like|know)|let me know|feel free|is there|you (?:can|could|may"
    r"|might"
    r"|should|would)(?: want to| need to| try| like to)? (?:check|contact|consult|visit|refer|look|search|ask"
    r"|reach|find|provide|try)|i (?:would )?(?:recommend|suggest|advise|encourage)|i(?:'d"
    r"| would| am|'m) (?:be )?"
    r"(?:happy|glad|here)|i can (?:help|try|only|assist|offer|look|search)|i only|more (?:information|context"
    rf"|details)|(?:additional|further) {_INFORMATION}"
    r"|for (?:more|accurate|further|up-to-date|the (?:latest|most))|it(?:'s| is| would be) (?:best|advisable"
    r"|recommended|better) to|try|(?:it|they) (?:only|just|merely|mainly|instead)"
    rf"|(?:the|this|these) (?:{_W} ){{0,2}}{_SOURCE}(?: {_W}){{0,3}}? (?:only|just|merely|mainly|instead)"
    r"|i hope|i apologi[sz]e|as (?:such|a result)|therefore,? i|which|what else|my (?:training|knowledge))",
    turns=r",? ?(?:but|however|although|though|yet),? |; ",
    hedges=r"maybe|probably|perhaps|possibly|think|believe|guess|might|likely|suppose|suspect|could be"
    r"|presumably|assume|estimate",
    asks=r"who|whom|whose|what|which|when|where|why|how|if|whether|as|since|because|so|without"
    r"|sorry|and|or|nor"
    r"|due|given|either",
    sources=_SOURCE,
    about_sources=rf"(?:does|do|did|is|are|was|were|has|have|can)\b.{{0,80}}\b{_SOURCE}\b",
)
