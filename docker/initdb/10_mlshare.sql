-- Every new database of this image starts with the extension.
CREATE EXTENSION IF NOT EXISTS mlshare CASCADE;
