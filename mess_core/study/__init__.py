"""The study: which encoder serves which recommender, on published interactions and on a library's own."""
