-- Its rows get another column, which CREATE OR REPLACE FUNCTION would refuse.
DROP FUNCTION IF EXISTS sys._scored();
