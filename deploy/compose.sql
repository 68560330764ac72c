-- Run once, by the image of PostgreSQL, when compose.yaml makes the database: the role of the server, which owns nothing.
CREATE ROLE vault_application LOGIN PASSWORD 'development';
