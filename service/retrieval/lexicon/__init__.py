"""What a query's words may mean: their inflections, other spellings and synonyms. `Lexicon` is the door."""

from service.retrieval.lexicon.lexicon import LexicalQuery, Lexicon
from service.retrieval.lexicon.spelling import Correction, confirmed
from service.retrieval.lexicon.synonyms import Synonym, Synonyms, read_synonyms

__all__ = ["Correction", "LexicalQuery", "Lexicon", "Synonym", "Synonyms", "confirmed", "read_synonyms"]
