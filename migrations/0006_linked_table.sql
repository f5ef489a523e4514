-- A share that was made again counts its versions from 1: which table a link view shows is known by its id.
ALTER TABLE mlshare_share.share_link_view ADD COLUMN table_id text;
