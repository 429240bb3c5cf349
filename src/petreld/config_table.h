/* config_table.h: every key: key, field, type, default, lowest, highest, text. The text of a CHOICE begins
 * with its choices: "a|b; what it does". See config.h. */
#ifndef PETREL_PETRELD_CONFIG_TABLE_H
#define PETREL_PETRELD_CONFIG_TABLE_H

#define CONFIG_SECOND 1000ULL
#define CONFIG_DAY (86400 * CONFIG_SECOND)
#define CONFIG_KIB 1024ULL
#define CONFIG_MIB (1024 * CONFIG_KIB)
#define CONFIG_GIB (1024 * CONFIG_MIB)

/* clang-format off */
#define CONFIG_TABLE(X) \
    X("data_dir", data_dir, TEXT, "/var/lib/petrel", 0, 0, "Directory of the embedded stores and of admin.token; made when absent, mode 0700") \
    X("user", user, TEXT, "petrel", 0, 0, "Whom a petreld that is started as root becomes before it opens anything; root: it stays root; started as anyone else it is that user anyway") \
    X("node_name", node_name, TEXT, "", 0, 0, "Name of this node in logs and to clients; empty: the host name") \
    X("roles", roles, TEXT, "session,message,api", 0, 0, "What this process does, by commas; where not all of them, the others are on nodes that discovery names") \
    X("loops", loops, COUNT, "0", 0, 256, "Event loops, a thread each; 0: one per core, and more where the limit of descriptors is short of session.max_sessions") \
    X("session.host", session_host, TEXT, "0.0.0.0", 0, 0, "Address that devices connect to: numeric IPv4 or IPv6") \
    X("session.port", session_port, COUNT, "7400", 0, 65535, "Its port; 0: the kernel chooses") \
    X("session.advertise", session_advertise, TEXT, "", 0, 0, "host:port that lookup gives to devices; empty: session.host and port, loopback where the host is every address") \
    X("session.max_sessions", session_max_sessions, COUNT, "100000", 1, 100000000, "Sessions of this node; beyond it CONNECT is answered 3002") \
    X("session.connects_per_second", session_connects_per_second, COUNT, "50000", 0, 10000000, "Connections this node accepts in a second; more wait in the backlog, and lookup spreads devices by it; 0: no limit") \
    X("session.max_handshakes", session_max_handshakes, COUNT, "16384", 1, 10000000, "Sockets that are let in and whose session is not live yet; more wait in the backlog, and a silent one then has a quarter of session.connect_timeout") \
    X("session.bind_target", session_bind_target, DURATION, "20ms", 1, 60 * CONFIG_SECOND, "When binds take longer, and over twice their least, fewer are asked at a time; when a loop's turn takes over half of it, fewer sockets are accepted in one") \
    X("session.max_frame", session_max_frame, BYTES, "64KiB", CONFIG_KIB, CONFIG_MIB, "Largest frame body either way") \
    X("session.connect_timeout", session_connect_timeout, DURATION, "10s", 100, 600 * CONFIG_SECOND, "From accept to a whole CONNECT; with TLS, where the handshake has to wait, to its turn at most, and from there again") \
    X("session.max_unauthenticated", session_max_unauthenticated, COUNT, "20000", 1, 10000000, "Sockets that have not sent a valid CONNECT") \
    X("session.max_unauthenticated_per_address", session_max_unauthenticated_per_address, COUNT, "512", 1, 10000000, "The same, from one address, of IPv6 one network of 64 bits") \
    X("session.address_connects_per_second", session_address_connects_per_second, COUNT, "2000", 0, 10000000, "Connects a second of one address, or IPv6 network of 64 bits; more are told to come again (3002, 503). 0: no limit, for all that come by one proxy") \
    X("session.bad_tokens", session_bad_tokens, COUNT, "64", 0, 1000000, "Bad tokens that one address may show; each more has it wait, from 1 s to 60 s (3002), and each good token makes up for one; 0: no limit") \
    X("session.app_connects_per_second", session_app_connects_per_second, COUNT, "0", 0, 10000000, "Connects a second of one app on this node, tokens checked; more are told to come again (3002); 0: no limit; an app may have its own (petrelctl app set)") \
    X("session.max_frames_per_second", session_max_frames_per_second, COUNT, "1000", 0, 1000000, "Frames that one device may send in a second, acks of what it was sent aside; beyond it is closed (3513); 0: no limit") \
    X("session.max_bytes_per_second", session_max_bytes_per_second, BYTES, "2MiB", 0, CONFIG_GIB, "Bytes, likewise; more than session.max_frame") \
    X("session.heartbeat", session_heartbeat, DURATION, "4m", CONFIG_SECOND, 3600 * CONFIG_SECOND, "Interval told to clients that wish for none") \
    X("session.heartbeat_min", session_heartbeat_min, DURATION, "10s", CONFIG_SECOND, 3600 * CONFIG_SECOND, "Shortest interval a client may have") \
    X("session.heartbeat_max", session_heartbeat_max, DURATION, "20m", CONFIG_SECOND, 3600 * CONFIG_SECOND, "Longest interval a client may have") \
    X("session.ack_delay", session_ack_delay, DURATION, "100ms", 1, 10 * CONFIG_SECOND, "Acks are gathered for so long before they are stored") \
    X("session.check_interval", session_check_interval, DURATION, "5m", CONFIG_SECOND, CONFIG_DAY, "How often a session compares its position and route with the store") \
    X("session.high_water", session_high_water, BYTES, "64KiB", CONFIG_KIB, 16 * CONFIG_MIB, "Unsent bytes from which a session refills from the log instead") \
    X("session.slow_timeout", session_slow_timeout, DURATION, "1m", CONFIG_SECOND, CONFIG_DAY, "A socket that takes nothing for so long is closed (3008)") \
    X("session.backoff", session_backoff, DURATION, "1s", 100, 600 * CONFIG_SECOND, "First wait told to clients that are to reconnect") \
    X("session.origins", session_origins, TEXT, "*", 0, 0, "Origins of the pages whose browsers may connect by WebSocket, as https://app.example, by commas; *: all; empty: none; clients that are no browsers name none and may always; an app may have its own (petrelctl app set)") \
    X("session.proxy_from", session_proxy_from, TEXT, "", 0, 0, "Addresses and networks of proxies, as 10.0.0.0/8, by commas: connections from there begin with a PROXY header, of version 1 or 2, others may not; empty: no proxies") \
    X("api.host", api_host, TEXT, "0.0.0.0", 0, 0, "Address of the send API") \
    X("api.port", api_port, COUNT, "7480", 0, 65535, "Its port; 0: the kernel chooses") \
    X("api.proxy_from", api_proxy_from, TEXT, "", 0, 0, "As session.proxy_from, for the send API") \
    X("api.tls", api_tls, CHOICE, "optional", 0, 0, "optional|required|off; Whether backends may, must or can't speak TLS, to the same port, where tls.cert is set; HTTP/2 is agreed on in it") \
    X("api.max_connections", api_max_connections, COUNT, "8192", 1, 10000000, "Open connections of backends") \
    X("api.max_body", api_max_body, BYTES, "4MiB", 64 * CONFIG_KIB, 256 * CONFIG_MIB, "Largest request body: a batch") \
    X("api.max_message", api_max_message, BYTES, "16KiB", 256, 60 * CONFIG_KIB, "Largest payload, or data as JSON text") \
    X("api.max_batch_lines", api_max_batch_lines, COUNT, "1000", 1, 100000, "Messages in one batch") \
    X("api.max_pipeline", api_max_pipeline, COUNT, "64", 1, 10000, "Requests under way on one connection") \
    X("api.http2_streams", api_http2_streams, COUNT, "128", 1, 10000, "Requests that a client may open on one connection of HTTP/2; those beyond api.max_pipeline wait") \
    X("api.http2_cleartext", api_http2_cleartext, CHOICE, "loopback", 0, 0, "loopback|anywhere|never; From which peers HTTP/2 without TLS is taken") \
    X("api.request_timeout", api_request_timeout, DURATION, "15s", 100, 600 * CONFIG_SECOND, "From a request's first byte to its last") \
    X("api.idle_timeout", api_idle_timeout, DURATION, "75s", CONFIG_SECOND, CONFIG_DAY, "A connection without requests is closed after this") \
    X("api.ttl_default", api_ttl_default, DURATION, "28d", 0, 365 * CONFIG_DAY, "Life of a message that names no ttl") \
    X("api.ttl_max", api_ttl_max, DURATION, "28d", CONFIG_SECOND, 365 * CONFIG_DAY, "Longest ttl that may be asked for") \
    X("api.app_rate", api_app_rate, COUNT, "0", 0, 1000000000, "Requests a second that one app may make of this node, each line of a batch being one; more are 429; 0: no limit; an app may have its own (petrelctl app limit)") \
    X("api.key_rate", api_key_rate, COUNT, "0", 0, 1000000000, "The same for each of the app's API keys") \
    X("api.rate_burst", api_rate_burst, DURATION, "1s", 1, 3600 * CONFIG_SECOND, "What of such a limit may come at once after a rest: the requests of so long") \
    X("api.token_ttl", api_token_ttl, DURATION, "30d", CONFIG_SECOND, 3650 * CONFIG_DAY, "Life of device tokens that register mints") \
    X("admin.socket", admin_socket, TEXT, "admin.sock", 0, 0, "Unix socket of the admin API, in data_dir unless it begins with /; root, the server's own user and admin.socket_group show no token there; empty: none") \
    X("admin.socket_group", admin_socket_group, TEXT, "", 0, 0, "Group whose members may use that socket as well; empty: nobody else") \
    X("admin.host", admin_host, TEXT, "127.0.0.1", 0, 0, "Address of the admin API; any but loopback needs admin.tls = required; empty: only the socket") \
    X("admin.port", admin_port, COUNT, "7481", 0, 65535, "Its port; 0: the kernel chooses") \
    X("admin.tls", admin_tls, CHOICE, "optional", 0, 0, "optional|required|off; The same for the address of the admin API") \
    X("peer.host", peer_host, TEXT, "0.0.0.0", 0, 0, "Address that other nodes connect to: numeric") \
    X("peer.port", peer_port, COUNT, "7482", 0, 65535, "Its port; 0: the kernel chooses") \
    X("peer.advertise", peer_advertise, TEXT, "", 0, 0, "host:port that discovery gives to other nodes, numeric; empty: peer.host and port") \
    X("peer.secret_file", peer_secret_file, TEXT, "", 0, 0, "File with the secret that all nodes share, 16 bytes or more, for its owner only; empty: this node is alone") \
    X("peer.tls", peer_tls, CHOICE, "off", 0, 0, "off|optional|required; Whether links speak TLS, with certificates on both sides; optional: with nodes that do") \
    X("peer.tls_cert", peer_tls_cert, TEXT, "", 0, 0, "This node's certificate (PEM, with what issued it), for links both ways; read again on SIGHUP, as the two below") \
    X("peer.tls_key", peer_tls_key, TEXT, "", 0, 0, "Its key (PEM, no passphrase)") \
    X("peer.tls_ca", peer_tls_ca, TEXT, "", 0, 0, "Certificates (PEM) of who issues those of nodes, and of nobody else") \
    X("peer.tls_name", peer_tls_name, TEXT, "", 0, 0, "Name that the certificates of all nodes have; empty: each has its node_name") \
    X("peer.call_timeout", peer_call_timeout, DURATION, "12s", CONFIG_SECOND, 60 * CONFIG_SECOND, "What one node asks another is given up after this") \
    X("peer.silence", peer_silence, DURATION, "5s", 2 * CONFIG_SECOND, 60 * CONFIG_SECOND, "A node that was not heard for so long is taken for dead; connections to nodes have as long to come about") \
    X("tls.cert", tls_cert, TEXT, "", 0, 0, "Certificate files (PEM, each with what issued it), by commas; the first serves unknown hosts; empty: no TLS; read again on SIGHUP") \
    X("tls.key", tls_key, TEXT, "", 0, 0, "Their key files (PEM, no passphrase), in the same order") \
    X("tls.sessions", tls_sessions, CHOICE, "optional", 0, 0, "optional|required; Whether devices may also connect without TLS, to the same port") \
    X("tls.min_version", tls_min_version, CHOICE, "1.2", 0, 0, "1.2|1.3; The oldest version of TLS that is spoken") \
    X("tls.ticket_secret_file", tls_ticket_secret_file, TEXT, "", 0, 0, "File with the secret of tickets, 16 bytes or more, for its owner only, the same on all nodes; empty: from peer.secret_file, else made at start") \
    X("tls.ticket_lifetime", tls_ticket_lifetime, DURATION, "1d", 60 * CONFIG_SECOND, 7 * CONFIG_DAY, "How long a device may resume by a ticket; also how often their keys change") \
    X("tls.client_ca", tls_client_ca, TEXT, "", 0, 0, "Certificates (PEM) of who issues those of clients; empty: clients need none") \
    X("tls.client_cert", tls_client_cert, CHOICE, "optional", 0, 0, "optional|required; Whether a client without a certificate is served, where tls.client_ca is set") \
    X("tls.handshakes", tls_handshakes, COUNT, "1024", 1, 1000000, "Handshakes under way on this node, about 42 KB each; more wait for their turn") \
    X("tls.handshakes_per_second", tls_handshakes_per_second, COUNT, "4000", 1, 1000000, "Handshakes this node begins in a second; more wait for their turn") \
    X("tls.max_openssl", tls_max_openssl, COUNT, "20000", 1, 100000000, "Connections of TLS 1.2, and all where tls.compact is no: about 25 KB each; more are refused") \
    X("tls.compact", tls_compact, CHOICE, "yes", 0, 0, "yes|no; Whether connections of TLS 1.3 let go of OpenSSL's part after the handshake") \
    X("inbox.cap_entries", inbox_cap_entries, COUNT, "200", 1, 10000, "Messages that wait for one user; the cap drops low priority first, then the oldest") \
    X("inbox.cap_bytes", inbox_cap_bytes, BYTES, "64KiB", 4 * CONFIG_KIB, 16 * CONFIG_MIB, "Bytes of messages that wait for one user") \
    X("inbox.collapse_keys", inbox_collapse_keys, COUNT, "16", 1, 1000, "Collapse keys pending for one user") \
    X("inbox.recent_ids", inbox_recent_ids, COUNT, "64", 1, 10000, "Messages without an idempotency key that one user may get in inbox.recent") \
    X("inbox.recent", inbox_recent, DURATION, "30s", CONFIG_SECOND, 600 * CONFIG_SECOND, "How long the ids of such messages are remembered against retries") \
    X("inbox.lapse", inbox_lapse, DURATION, "30d", CONFIG_SECOND, 3650 * CONFIG_DAY, "A device not seen for so long holds nothing back any more") \
    X("inbox.fate", inbox_fate, DURATION, "1h", CONFIG_SECOND, 30 * CONFIG_DAY, "How long the state of a message that left the inbox can be asked for; of the last 32 of a user") \
    X("topics.cap_entries", topics_cap_entries, COUNT, "1000", 1, 100000, "Messages in one topic's log; the cap drops the oldest, and devices that had not read it are told") \
    X("topics.cap_bytes", topics_cap_bytes, BYTES, "1MiB", 4 * CONFIG_KIB, 256 * CONFIG_MIB, "Bytes of messages and conditions in one topic's log") \
    X("topics.ttl_max", topics_ttl_max, DURATION, "28d", CONFIG_SECOND, 365 * CONFIG_DAY, "Longest ttl of a message to a topic or condition, and its life where that is less than api.ttl_default") \
    X("topics.per_device", topics_per_device, COUNT, "64", 1, 64, "Topics that one device may be subscribed to, besides all") \
    X("topics.recent_ids", topics_recent_ids, COUNT, "65536", 64, 1000000, "Ids that are remembered for one topic against retries, those of idempotency keys included; beyond it sends to it are refused (429)") \
    X("topics.recent", topics_recent, DURATION, "30s", CONFIG_SECOND, 600 * CONFIG_SECOND, "How long an id without an idempotency key is remembered") \
    X("topics.keep", topics_keep, DURATION, "60d", CONFIG_DAY, 3650 * CONFIG_DAY, "A topic that nobody sends to or follows for so long is forgotten") \
    X("topics.lapse", topics_lapse, DURATION, "30d", CONFIG_SECOND, 3650 * CONFIG_DAY, "Likewise the subscriptions of a device that is not seen for so long") \
    X("store.backend", store_backend, CHOICE, "sqlite", 0, 0, "sqlite|redis; Where inboxes, positions and routes are") \
    X("store.checkpoint", store_checkpoint, BYTES, "64MiB", 64 * CONFIG_KIB, 16 * CONFIG_GIB, "Journal that is gathered before a checkpoint begins") \
    X("store.memory", store_memory, BYTES, "256MiB", CONFIG_MIB, 1024 * CONFIG_GIB, "User records without sessions that are kept in memory") \
    X("store.min_free", store_min_free, BYTES, "64MiB", 0, 1024 * CONFIG_GIB, "Free disk below which sends are refused (507), so that acks still fit") \
    X("store.redis", store_redis, TEXT, "127.0.0.1:6379", 0, 0, "host:port of Redis, numeric; several by commas, of one cluster") \
    X("store.redis_cluster", store_redis_cluster, CHOICE, "no", 0, 0, "no|yes; Whether that is a Redis Cluster") \
    X("store.redis_user", store_redis_user, TEXT, "", 0, 0, "User for Redis; empty: the default one") \
    X("store.redis_password_file", store_redis_password_file, TEXT, "", 0, 0, "File with its password, for its owner only; empty: none") \
    X("store.redis_tls", store_redis_tls, CHOICE, "no", 0, 0, "no|yes; Whether connections to Redis speak TLS; its servers' tls-port is then meant") \
    X("store.redis_tls_ca", store_redis_tls_ca, TEXT, "", 0, 0, "Certificates (PEM) of who issues those of its servers; read again at reload, as the two below") \
    X("store.redis_tls_cert", store_redis_tls_cert, TEXT, "", 0, 0, "A certificate to show to Redis (PEM); empty: none") \
    X("store.redis_tls_key", store_redis_tls_key, TEXT, "", 0, 0, "Its key (PEM, no passphrase)") \
    X("store.redis_tls_name", store_redis_tls_name, TEXT, "", 0, 0, "Name that the certificates of all its servers have; empty: each has its address") \
    X("store.redis_timeout", store_redis_timeout, DURATION, "1s", 100, 10 * CONFIG_SECOND, "A connection to Redis whose reply takes longer is closed, its replies are not used") \
    X("store.redis_deadline", store_redis_deadline, DURATION, "5s", 500, 20 * CONFIG_SECOND, "A request to Redis is given up after this, all its tries included") \
    X("store.redis_replicated", store_redis_replicated, DURATION, "10s", 500, 20 * CONFIG_SECOND, "The same for sends that wait until all replicas have them") \
    X("registry.backend", registry_backend, CHOICE, "sqlite", 0, 0, "sqlite|mysql; Where apps, keys and devices are") \
    X("registry.mysql_socket", registry_mysql_socket, TEXT, "", 0, 0, "Unix socket of MySQL; empty: host and port") \
    X("registry.mysql_host", registry_mysql_host, TEXT, "127.0.0.1", 0, 0, "Host of MySQL or MariaDB") \
    X("registry.mysql_port", registry_mysql_port, COUNT, "3306", 1, 65535, "Its port") \
    X("registry.mysql_user", registry_mysql_user, TEXT, "petrel", 0, 0, "User for MySQL") \
    X("registry.mysql_password_file", registry_mysql_password_file, TEXT, "", 0, 0, "File with its password, for its owner only; empty: none") \
    X("registry.mysql_database", registry_mysql_database, TEXT, "petrel", 0, 0, "Database; its tables are made by the first node") \
    X("registry.mysql_tls", registry_mysql_tls, CHOICE, "no", 0, 0, "no|yes; Whether connections to MySQL speak TLS, with a certificate of registry.mysql_host") \
    X("registry.mysql_tls_ca", registry_mysql_tls_ca, TEXT, "", 0, 0, "Certificates (PEM) of who issues it; read with each connection, as the two below") \
    X("registry.mysql_tls_cert", registry_mysql_tls_cert, TEXT, "", 0, 0, "A certificate to show to MySQL (PEM); empty: none") \
    X("registry.mysql_tls_key", registry_mysql_tls_key, TEXT, "", 0, 0, "Its key (PEM, no passphrase)") \
    X("discovery.backend", discovery_backend, CHOICE, "single", 0, 0, "single|zookeeper; How nodes find each other; single: there is one") \
    X("discovery.zookeeper", discovery_zookeeper, TEXT, "127.0.0.1:2181", 0, 0, "host:port of ZooKeeper; several by commas") \
    X("discovery.zookeeper_root", discovery_zookeeper_root, TEXT, "/petrel", 0, 0, "Path in ZooKeeper below which this cluster is") \
    X("discovery.zookeeper_session", discovery_zookeeper_session, DURATION, "10s", CONFIG_SECOND, 120 * CONFIG_SECOND, "A node that ZooKeeper has not heard for so long is no longer named; its servers bound it by 2 and 20 of their ticks") \
    X("memory.high_water", memory_high_water, MEMORY, "90%", 0, 1024 * CONFIG_GIB, "Memory above which who connects is answered 3002 and sessions go on: bytes of this process, or a percentage of the machine's, or of its control group's limit, in use by anyone; 0: no limit") \
    X("shutdown.grace", shutdown_grace, DURATION, "10s", 0, 600 * CONFIG_SECOND, "Sessions may live so long after SIGTERM") \
    X("shutdown.spread", shutdown_spread, DURATION, "5s", 0, 600 * CONFIG_SECOND, "Over how long clients spread their reconnects") \
    X("log.level", log_level, CHOICE, "info", 0, 0, "debug|info|warn|error; The least that is logged") \
    X("log.format", log_format, CHOICE, "text", 0, 0, "text|json; Lines for people or JSON objects") \
    X("log.file", log_file, TEXT, "", 0, 0, "File to append to, opened again on SIGHUP; empty: standard error")
/* clang-format on */

#endif
