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

SHARES_MAX = 255  # x coordinates of GF(256) without zero
CUSTOM_METADATA_PAIRS_MAX = 64
CUSTOM_METADATA_KEY_BYTES_MAX = 128
CUSTOM_METADATA_VALUE_BYTES_MAX = 512

STATUS_MIN = 200  # sys/health lets the caller choose the status: only final ones
STATUS_MAX = 599
