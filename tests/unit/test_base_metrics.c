#include "base/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WRITERS 3
#define ROUNDS 20000

static void *count_up(void *arg)
{
    struct metrics_shard *shard = arg;
    for (int i = 0; i < ROUNDS; i++) {
        metrics_add(shard, METRIC_PUSHES, 1);
        metrics_observe_us(shard, METRIC_SEND_SECONDS, 150);
    }
    return NULL;
}

static void shards_are_summed_while_they_are_written(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new(WRITERS);
    pthread_t threads[WRITERS];
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, metrics_shard(metrics, i)), 0);
    int64_t last = 0;
    while (last < WRITERS * ROUNDS / 2) {
        int64_t now = metrics_get(metrics, METRIC_PUSHES);
        assert_true(now >= last);
        last = now;
    }
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(metrics_get(metrics, METRIC_PUSHES), WRITERS * ROUNDS);
    assert_int_equal(metrics_get(metrics, METRIC_SEND_SECONDS), WRITERS * ROUNDS);
    metrics_free(&metrics);
    assert_null(metrics);
    metrics_free(&metrics);
}

static void assert_has(const struct bytebuf *out, const char *text)
{
    if (memmem(out->ptr, out->len, text, strlen(text)) == NULL)
        fail_msg("no \"%s\" in the exposition", text);
}

static void renders_prometheus_text(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new(2);
    struct metrics_shard *one = metrics_shard(metrics, 0), *two = metrics_shard(metrics, 1);
    metrics_add(one, METRIC_SESSIONS, 5);
    metrics_add(two, METRIC_SESSIONS, -2);
    metrics_set(two, METRIC_STORE_FULL, 1);
    metrics_add(two, METRIC_LOOP_STALLS, 9);
    metrics_observe_us(one, METRIC_STORE_COMMIT_SECONDS, 100);
    metrics_observe_us(two, METRIC_STORE_COMMIT_SECONDS, 101);
    metrics_observe_us(two, METRIC_STORE_COMMIT_SECONDS, 11000000);
    metrics_add(NULL, METRIC_SESSIONS, 100);
    metrics_observe_us(NULL, METRIC_SEND_SECONDS, 100);
    struct bytebuf out = {0};
    metrics_render(metrics, &out);
    assert_has(&out, "# HELP petrel_sessions Live sessions\n# TYPE petrel_sessions gauge\npetrel_sessions 3\n");
    assert_has(&out, "# TYPE petrel_loop_stalls_total counter\npetrel_loop_stalls_total 9\n");
    assert_has(&out, "petrel_store_full 1\n");
    assert_has(&out, "# TYPE petrel_store_commit_seconds histogram\n"
                     "petrel_store_commit_seconds_bucket{le=\"0.0001\"} 1\n"
                     "petrel_store_commit_seconds_bucket{le=\"0.0002\"} 2\n");
    assert_has(&out, "petrel_store_commit_seconds_bucket{le=\"10\"} 2\n"
                     "petrel_store_commit_seconds_bucket{le=\"+Inf\"} 3\n"
                     "petrel_store_commit_seconds_sum 11.000201\n"
                     "petrel_store_commit_seconds_count 3\n");
    assert_has(&out, "petrel_send_seconds_count 0\n");
    bytes_reset(&out);
    metrics_free(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_summed_while_they_are_written),
        cmocka_unit_test(renders_prometheus_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
