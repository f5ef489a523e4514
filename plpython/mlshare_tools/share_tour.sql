-- # 1. The administrator lets a role share data
-- Where files may go is a setting; here it is a directory of this machine.
\connect :superuser
CALL dbms_share.update_default_share_property('storage_roots', :'root');
CALL dbms_share.enable_schema(schema_name => :'provider', enabled => true);

-- # 2. The provider has a table
\connect :provider
SELECT * FROM flower LIMIT 3;

-- # 3. A place for the files, tried by the worker
CALL dbms_share.create_cloud_storage_link(
    storage_link_name => 'DATASHARE_STORAGE_LINK', uri => :'uri');
CALL dbms_share.validate_share_storage('DATASHARE_STORAGE_LINK', NULL);

-- # 4. A share, a recipient, a grant
CALL dbms_share.create_share(
    share_name => 'DEMOUSER_IRIS', storage_link_name => 'DATASHARE_STORAGE_LINK',
    description => 'Iris for the class', public_description => 'Measures of iris flowers');
CALL dbms_share.create_share_recipient(recipient_name => 'DEMOUSER', email => 'demouser@example.org');
CALL dbms_share.grant_to_recipient(share_name => 'DEMOUSER_IRIS', recipient_name => 'DEMOUSER');
CALL dbms_share.add_to_share(
    share_name => 'DEMOUSER_IRIS', table_name => 'FLOWER',
    share_schema_name => 'SHAREDEMO', share_table_name => 'FLOWER');

-- # 5. Publish
CALL dbms_share.publish_share_wait(share_name => 'DEMOUSER_IRIS');
SELECT share_version, status, num_files, num_rows, total_size FROM sys.user_share_versions;

-- # 6. An activation link for the recipient, who has no account in the database
SELECT dbms_share.get_activation_link(recipient_name => 'DEMOUSER', base_endpoint => :'endpoint') AS link \gset
