"""MESS, Music Embedding Similarity Search: which recordings are like this one, and how sure are we?

The core knows nothing of the app. It reads audio, runs frozen music encoders, keeps what they say,
and searches it. Each room is one part of the field, each module one noun; open the one that is named after your
question.

    audio (n_samples,)                                             audio/source.py
      -> segments (n_segments, segment_samples)                    audio/decode.py
      -> hidden states (n_segments, n_layers, n_frames, dim)       encoders/
      -> pool frames (n_segments, n_layers, dim)                   embeddings/extraction.py
      -> pool segments (n_layers, dim), one per track              embeddings/extraction.py, kept by embeddings/store.py
      -> neighbours                                                search/answers.py
"""

__version__ = "0.1.0"
