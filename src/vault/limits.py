"""Every bound of the service, each with its reason."""

BODY_BYTES_MAX = 32 * 1024 * 1024  # Vault's max_request_size
JSON_DEPTH_MAX = 300  # Vault's max_json_depth; deeper bodies only serve to exhaust the stack
JSON_MEMBERS_MAX = 50_000  # members plus items of one body; a million keys cost seconds of CPU
JSON_INT_DIGITS_MAX = 1_000  # int() is quadratic in digits
TOKEN_BYTES_MAX = 8 * 1024  # [V 2.0] answers 431 above this
PATH_BYTES_MAX = 2_048  # every path is a database key and an audit field

DEFAULT_LEASE_SECONDS = 768 * 3600  # Vault's system default, 32 days
MAX_LEASE_SECONDS = 768 * 3600
DURATION_SECONDS_MAX = 2**63 // 10**9  # a Go time.Duration holds no more

CACHE_ENTRIES_MAX = 50_000  # decrypted entries per worker; about 50 MB at 1 KB each
GENERATION_SLOTS = 65_536  # shared counters; two paths in one slot only cost a cache miss
TRANSACTION_ATTEMPTS_MAX = 64  # optimistic retries before a writer gives up with Conflict
STORAGE_TIMEOUT_SECONDS = 4.0  # D07: an answer within 5 s even when PostgreSQL hangs

ROOT_KEY_WAIT_SECONDS = 10.0  # a new root key of another host is brought in within two rounds of the background work
FAREWELL_SECONDS = 1.0  # sealing is urgent: last checkpoints that take longer are not waited for
HANDOVER_SECONDS = 300.0  # how long other hosts can take over a new root key; who was away for longer is unsealed anew
HANDOVER_LINKS_MAX = 8  # rekeys in a row that a host may miss; whoever scripts more of them in minutes unseals its other hosts
SHARES_MAX = 255  # x coordinates of GF(256) without zero
CUSTOM_METADATA_PAIRS_MAX = 64
CUSTOM_METADATA_KEY_BYTES_MAX = 128
CUSTOM_METADATA_VALUE_BYTES_MAX = 512

STATUS_MIN = 200  # sys/health lets the caller choose the status: only final ones
STATUS_MAX = 599

POLICY_BYTES_MAX = 1024 * 1024  # the text of a policy is parsed while its writer waits: about a second
POLICY_PATHS_MAX = 20_000  # path blocks of one policy; every one is compiled for every combination of policies it is in
POLICY_DEPTH_MAX = 64  # nesting in a policy; the parser recurses
JSON_EXPONENT_MAX = 500  # beyond every IEEE 754 double (308) and decimal64 (384); a reader of 1e999999999 would fill its memory
KNOWN_FOLDERS_MAX = 4_096  # of rows written lately, whose counters a worker remembers
KNOWN_FOLDER_DEPTH_MAX = 32  # of those; what is remembered of one grows with its depth, 2 KB at this one
CACHED_LISTING_MAX = 10_000  # names of one cached listing

WAITING_MAX = 64  # requests of a worker that wait for slow work, of strangers and of others; each holds a thread
PASSWORD_SECONDS_MAX = 30.0  # clients wait no longer for a login
LOCKOUT_THRESHOLD = 5  # Vault's number of failed logins, and how long they count and lock
LOCKOUT_SECONDS = 900
LOCKOUT_SECONDS_MAX = 365 * 24 * 3600  # a name is remembered for as long
LOCKOUT_THRESHOLD_MAX = 1_000_000
LOCKOUT_WAIT_SECONDS = 30.0  # the same for those who wait for other attempts at their name
ATTEMPT_SECONDS_MAX = 60.0  # longer than a check and all waiting for it; what is still not known then was the attempt of a dead process

KV_VERSIONS_DEFAULT = 10  # Vault's number of versions kept where nobody names one
KV_UPGRADE_BATCH = 100  # secrets moved in one transaction, so that an upgrade never holds many rows at once
KV_SCAN_PAGE = 1_000  # rows of a recursive listing fetched at once

APPROLE_NAME_BYTES_MAX = 512  # of a role, a role id or an accessor, as part of a path
SECRET_ID_BYTES_MAX = 4_096  # of one that the caller chose; it is hashed at each login
SECRET_ID_METADATA_BYTES_MAX = 16 * 1024  # it becomes part of every token
IDENTITY_NAME_BYTES_MAX = 512  # of an entity, a group or an alias; twice as long in hexadecimal, as part of a path
IDENTITY_ID_CHARACTERS_MAX = 128  # an id is part of a path; ours have 36
GROUP_MEMBERS_MAX = 10_000  # of one group; a change of all of them is one transaction
MEMBER_GROUPS_MAX = 1_000  # of one group
KNOWN_STANDINGS_MAX = 10_000  # entities whose rights a worker remembers; about 2 KB each
POLICY_NAME_BYTES_MAX = 256  # a name is part of a row's path, and of every token that holds it
COMPILED_ACLS_MAX = 1_024  # compiled combinations of policies per worker; a combination of small policies takes about 20 KB
EXPIRED_POLICIES_MAX = 100  # ended policies that one write removes on its way
MFA_PENDING_SECONDS = 300  # Vault's time for the second factor of a login
MFA_PENDING_MAX = 10  # logins of one entity that wait for it; only who has the first factor makes one
MFA_BLOCK_SECONDS_MAX = 900  # as long as a lockout of users; with five attempts each, 480 guesses a day
MFA_FACTORS_MAX = 16  # of one login; more methods than anybody has
MFA_METHODS_MAX = 100  # all of them are one row, which every login reads
MFA_ENFORCEMENTS_MAX = 1_000
MFA_TARGETS_MAX = 1_000  # of one enforcement and kind
RANDOM_BYTES_MAX = 128 * 1024  # Vault's bound of sys/tools/random

IDLE_SECONDS = 0.01  # a thread waits that long for the next request of its connection before it looks for other work
HANDSHAKE_SECONDS_MAX = 10.0  # from accepting a TLS connection to its first request; a handshake takes three trips
HEADER_SECONDS_MAX = 5.0  # from the first byte of a request to the end of its head; no client needs seconds between them
BODY_SECONDS_MAX = 60.0  # 32 MiB at 5 Mbit/s
SEND_SECONDS_MAX = 60.0  # the same for an answer
LINGER_SECONDS_MAX = 1.0  # what is left of a refused request is read for so long, so that the refusal arrives
SWEEP_SECONDS = 0.1  # how late the end of such a time may be noticed; every waiting connection is looked at
PARKED_BYTES_FREE = 16 * 1024  # of one waiting connection; 4,096 of them are 64 MiB, so small requests never have to be counted
PARKED_BYTES_MAX = 256 * 1024 * 1024  # of all waiting connections of a worker beyond that: eight of the largest bodies
CHUNK_LINE_BYTES_MAX = 1_024  # a size and an extension that means nothing
CHUNKS_MAX = 65_536  # of one body; each costs a microsecond or two, and a body in chunks of single bytes is no body
QUIT_SECONDS_MAX = 1  # what a worker that was told to stop at once may still take
DEFER_SECONDS_MAX = 0.004  # a worker with many connections leaves a new one to another for so long; that one may be stuck
DRAIN_SECONDS = 1.0  # a stopping worker answers on idle connections for so long, and then closes them
ORPHAN_SECONDS_MAX = 2  # a worker whose arbiter was killed is gone within 5 s
CONNECTIONS_MAX = 4_096  # of one worker, idle ones included; less where the process may not open as many files
KEEPALIVE_SECONDS = 75  # longer than the pools of common clients keep an idle connection
GRACEFUL_SECONDS_MAX = 10  # a request answers within 5 s, or not at all
HEAD_BYTES_MAX = 64 * 1024  # of all headers together while their end has not come
HEADER_BYTES_MAX = 16 * 1024  # a token of 8 KiB must reach the check that answers 431 in Vault's words
HEADERS_MAX = 64

CACHE_BYTES_MAX = 64 * 1024 * 1024  # of one worker's cache; 50,000 large values or listings would fill the machine
CACHED_BYTES_MAX = 2 * 1024 * 1024  # of one cached value; larger than any policy
CACHED_ABSENT_MAX = 4_096  # names known not to exist: random tokens must cost little memory and drive out nothing
RESTART_SECONDS = 0.5  # a worker that cannot start is tried again no faster

STRANGER_DATA_BYTES_MAX = 64 * 1024  # of a body without a token, on record; 255 hashes, as of the keys that sys/init may bring, are 20 KB
VITAL_DATA_BYTES_MAX = 1024  # the same where it takes of the space that is kept on a full disk; a share is one hash
AUDITED_HEADERS_MAX = 64  # as many as a request may have

OTP_BYTES_MIN = 28  # of a pad, and so of its root token: what Vault takes, so what its clients have built in; 143 bits
OTP_BYTES_MAX = 47  # 256 bits of token; more than the keys that guard it would add nothing
SPENT_GRACE_SECONDS = 10  # the last request of a spent token is answered within 5 s; only then may others clear the token away

# AES-GCM with random nonces may repeat one with probability 2^-32 after 2^32 uses of a key. Vault's bound leaves a tenth of that.
KEY_OPERATIONS_MAX = 3_865_470_566
KEY_OPERATIONS_MIN = 1_000_000  # a lower bound would rotate for ever
ROTATION_SECONDS_MIN = 24 * 3600
KEY_USES_PENDING_MAX = 100_000  # uses of keys that a killed worker may leave uncounted; 4,000 such deaths are within the tenth
KEY_USES_WORTH_NOTING = 1_000  # fewer are noted hourly: what is noted is a row that is itself encrypted
KEY_USES_SECONDS = 60
KEY_USES_SECONDS_MAX = 3600
RSA_BITS_MIN = 2048  # of a key that authenticates somebody; 1024 bits are within reach of whoever has money
ROLE_NAME_BYTES_MAX = 256  # a name is part of a row's path
REVOKED_MAX = 25_000  # serials of one revocation list: as one row it still fits into a worker's cache
REVOCATIONS_BYTES_MAX = 4 * 1024 * 1024  # of a list that is fetched; 25,000 entries with their dates and reasons are 2 MB
REVOCATIONS_SECONDS_MAX = 5.0  # for fetching one; the login that does so waits
REVOCATIONS_RETRY_SECONDS = 60  # a list that cannot be fetched is asked for no more often than that
REVOCATIONS_FRESH_SECONDS = 3600  # of a list that does not say when its next one comes
TRUSTED_MAX = 50  # certificates in the text of one role; each is tried as the end of a chain
CERTIFICATES_BYTES_MAX = 256 * 1024  # of that text
COMMON_NAME_CHARACTERS_MAX = 512  # it names an entity; X.520 allows 64
JWT_SKEW_SECONDS = 60  # by which the clock of an issuer may differ from ours
KUBERNETES_NAME_MAX = 253  # RFC 1123, as Kubernetes counts
KUBERNETES_SECONDS_MAX = 5.0  # for one question to its API; a caller waits for two of them at most
KUBERNETES_BYTES_MAX = 1024 * 1024  # of its answer; an object of etcd is no larger
OUTBOUND_MAX = 4  # questions to foreign servers at once, of a worker: while those hang, its other threads serve
OUTBOUND_WAIT_SECONDS = 1.0  # for one of those places
OUTBOUND_SECONDS_MAX = 4.0  # of one question, however slowly its answer comes: a login waits for it
OUTBOUND_BYTES_MAX = 512 * 1024  # of an answer: key sets are a few kilobytes, the largest published ones below a hundred
RAW_BYTES_MAX = 32 * 1024 * 1024  # of a value that sys/raw decompresses: no larger than what a body may bring
AUDIT_RETENTION_DAYS = 2_555  # seven years
AUDIT_RETENTION_DAYS_MIN = 2_190  # six years, as 45 CFR 164.316(b)(2)(i) asks; the function that detaches partitions has the same

JWT_BYTES_MAX = 64 * 1024  # of a token: one that names some hundred groups has 16 KiB
JWT_KEYS_MAX = 100  # of one source; each may have to be tried
JWT_KEYS_FRESH_SECONDS = 300.0  # a key that its owner withdrew is good for so long
JWT_KEYS_KEPT_SECONDS = 3600.0  # and for so long where the owner's server cannot be reached
JWT_KEYS_RETRY_SECONDS = 10.0  # between two questions for a key that nobody knows: strangers make up names of keys
JWT_SOURCES_MAX = 1_000  # of a worker; each mount has one or two
JWT_NAME_BYTES_MAX = 512  # of the caller, and of a group: they become names of identity
JWT_GROUPS_MAX = 1_000  # of one caller
OIDC_FLOW_SECONDS = 600  # Vault's time from asking for a login page to coming back
OIDC_URL_BYTES_MAX = 1_024  # of a redirect URI: it travels in the state, and URLs end at some kilobytes
OIDC_SPENT_ROWS = 4_096  # rows that remember which logins came back; their number does not grow
OIDC_SPENT_PER_ROW_MAX = 64  # logins that such a row remembers; a mount has a quarter of a million of them in ten minutes
CLAIM_TEMPLATE_BYTES_MAX = 64 * 1024  # filled in for every token; claims of that size fit into no header anyway
OIDC_ITEMS_MAX = 1_000  # of one list of a key, client, assignment or provider: each is read for every sign-in
OIDC_RETIRED_MAX = 100  # replaced pairs of one key that still check: by its period it has ten; all of them are published
OIDC_NAME_BYTES_MAX = 256  # part of a row's path and of URLs
OIDC_PARAMETER_BYTES_MAX = 4_096  # state, nonce and redirect_uri of one sign-in: as much as a URL takes with most servers
OIDC_CODE_SECONDS = 300  # an authorization code is exchanged at once by a program; RFC 6749 allows ten minutes
OIDC_ROWS_SWEPT = 10_000  # expired rows among which unused codes are looked for; leases that cannot be revoked stay among them
DISCOVERY_SECONDS = 3600  # how long a relying party may keep the discovery document, as with Vault
LDAP_NAME_BYTES_MAX = 512  # of a user, and of a group: they become names of identity
LDAP_GROUPS_MAX = 1_000  # of one user
LDAP_CONNECT_SECONDS_MAX = 5  # for each server of a directory, whatever the configuration says
LDAP_PLACES_MAX = 16  # conversations of one worker at once; a hung directory must not take all of its waiting places
LDAP_SECONDS_MAX = 15  # for all that a login asks; a thread of a worker waits so long
LDAP_BYTES_MAX = 8 * 1024 * 1024  # of all answers to one login; a thousand groups are some 100 KiB
