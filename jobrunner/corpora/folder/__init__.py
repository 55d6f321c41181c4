"""Speech in the ordinary audio-folder form: audio files and a table with their transcripts.

    metadata.csv (.tsv, .jsonl, .parquet) at the root, or one in each split's folder
    columns: file_name, a transcript, and if known the speaker, the split, the language

A folder that holds one such folder a language (`speech/el`, `speech/en`) serves as well. Used by
the client, to say what is wrong before anything starts, and by the core: standard library only,
but for metadata.parquet.
"""

from jobrunner.corpora.folder.check import check
from jobrunner.corpora.folder.read import Clip, locate, read

__all__ = ["Clip", "check", "locate", "read"]
