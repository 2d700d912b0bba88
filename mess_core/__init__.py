"""MESS, Music Embedding Similarity Search: which recordings are like this one, and how sure are we?

The core knows nothing of the app. It reads audio, runs frozen music encoders, keeps what they say,
and searches it. Each module is one noun; open the one that is named after your question.

    audio (n_samples,)
      -> segments (n_segments, segment_samples)                    audio.py
      -> hidden states (n_segments, n_layers, n_frames, dim)       encoders/
      -> pool frames (n_segments, n_layers, dim)                   embeddings.py
      -> pool segments (n_layers, dim), one per track              embeddings.py
      -> neighbours                                                search.py
"""

__version__ = "0.1.0"
