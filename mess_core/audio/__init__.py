"""Audio files: opened whatever their format, checked, mixed to mono, resampled, cut into segments."""
