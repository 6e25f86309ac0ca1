# The Request Tracker of the end-to-end tests keeps everything in $RT_TEST_DIR,
# listens on loopback, and sends no mail.

my $dir = $ENV{RT_TEST_DIR};

Set($rtname,       'rt.example.com');
Set($Organization, 'rt.example.com');
Set($Timezone,     'Europe/Oslo');
Set($WebDomain,    '127.0.0.1');
Set($WebPort,      $ENV{RT_TEST_PORT});

Set($DatabaseType, 'SQLite');
Set($DatabaseName, "$dir/rt.db");

Set($MailCommand,   'mbox');    # writes to VarPath
Set($HTMLFormatter, 'core');    # of mails; the default is what the machine has
Set($LogToSyslog,   undef);
Set($LogToSTDERR,   'warning');

$RT::VarPath         = "$dir/var";
$RT::MasonDataDir    = "$dir/mason";
$RT::MasonSessionDir = "$dir/sessions";

1;
