/* libnghttp2, loaded when a client of BuildKit's protocol comes (base/library.h). Where it is
 * missing no session can be made. */
#include <nghttp2/nghttp2.h>

#include "base/library.h"

#include "base/banned.h"

static struct library library = LIBRARY("libnghttp2.so.14");

/* clang-format off */
#define FORWARD(type, symbol, parameters, arguments, otherwise) LIBRARY_FORWARD(&library, type, symbol, parameters, arguments, otherwise)
#define CALLBACKS nghttp2_session_callbacks *callbacks
FORWARD(int,     nghttp2_session_callbacks_new, (nghttp2_session_callbacks **out), (out), NGHTTP2_ERR_NOMEM)
FORWARD(void,    nghttp2_session_callbacks_del, (CALLBACKS), (callbacks), (void)0)
FORWARD(void,    nghttp2_session_callbacks_set_on_begin_headers_callback,   (CALLBACKS, nghttp2_on_begin_headers_callback call),   (callbacks, call), (void)0)
FORWARD(void,    nghttp2_session_callbacks_set_on_header_callback,          (CALLBACKS, nghttp2_on_header_callback call),          (callbacks, call), (void)0)
FORWARD(void,    nghttp2_session_callbacks_set_on_frame_recv_callback,      (CALLBACKS, nghttp2_on_frame_recv_callback call),      (callbacks, call), (void)0)
FORWARD(void,    nghttp2_session_callbacks_set_on_data_chunk_recv_callback, (CALLBACKS, nghttp2_on_data_chunk_recv_callback call), (callbacks, call), (void)0)
FORWARD(void,    nghttp2_session_callbacks_set_on_stream_close_callback,    (CALLBACKS, nghttp2_on_stream_close_callback call),    (callbacks, call), (void)0)
FORWARD(int,     nghttp2_option_new, (nghttp2_option **out), (out), NGHTTP2_ERR_NOMEM)
FORWARD(void,    nghttp2_option_del, (nghttp2_option *option), (option), (void)0)
FORWARD(void,    nghttp2_option_set_no_auto_window_update, (nghttp2_option *option, int value), (option, value), (void)0)
FORWARD(int,     nghttp2_session_server_new2, (nghttp2_session **out, const nghttp2_session_callbacks *callbacks, void *data, const nghttp2_option *option), (out, callbacks, data, option), NGHTTP2_ERR_NOMEM)
FORWARD(int,     nghttp2_session_client_new2, (nghttp2_session **out, const nghttp2_session_callbacks *callbacks, void *data, const nghttp2_option *option), (out, callbacks, data, option), NGHTTP2_ERR_NOMEM)
FORWARD(void,    nghttp2_session_del, (nghttp2_session *session), (session), (void)0)
FORWARD(ssize_t, nghttp2_session_mem_recv, (nghttp2_session *session, const uint8_t *data, size_t size), (session, data, size), NGHTTP2_ERR_NOMEM)
FORWARD(ssize_t, nghttp2_session_mem_send, (nghttp2_session *session, const uint8_t **out), (session, out), NGHTTP2_ERR_NOMEM)
FORWARD(int,     nghttp2_session_want_read,   (nghttp2_session *session), (session), 0)
FORWARD(int,     nghttp2_session_want_write,  (nghttp2_session *session), (session), 0)
FORWARD(int,     nghttp2_session_consume,     (nghttp2_session *session, int32_t id, size_t size), (session, id, size), NGHTTP2_ERR_NOMEM)
FORWARD(int,     nghttp2_session_resume_data, (nghttp2_session *session, int32_t id), (session, id), NGHTTP2_ERR_NOMEM)
FORWARD(int,     nghttp2_session_set_local_window_size, (nghttp2_session *session, uint8_t flags, int32_t id, int32_t size), (session, flags, id, size), NGHTTP2_ERR_NOMEM)
FORWARD(int,     nghttp2_session_terminate_session, (nghttp2_session *session, uint32_t code), (session, code), NGHTTP2_ERR_NOMEM)
FORWARD(int,     nghttp2_submit_settings, (nghttp2_session *session, uint8_t flags, const nghttp2_settings_entry *entries, size_t count), (session, flags, entries, count), NGHTTP2_ERR_NOMEM)
FORWARD(int32_t, nghttp2_submit_request,  (nghttp2_session *session, const nghttp2_priority_spec *priority, const nghttp2_nv *headers, size_t count, const nghttp2_data_provider *provider, void *data), (session, priority, headers, count, provider, data), NGHTTP2_ERR_NOMEM)
FORWARD(int,     nghttp2_submit_response, (nghttp2_session *session, int32_t id, const nghttp2_nv *headers, size_t count, const nghttp2_data_provider *provider), (session, id, headers, count, provider), NGHTTP2_ERR_NOMEM)
FORWARD(int,     nghttp2_submit_trailer,  (nghttp2_session *session, int32_t id, const nghttp2_nv *headers, size_t count), (session, id, headers, count), NGHTTP2_ERR_NOMEM)
FORWARD(int,     nghttp2_submit_rst_stream, (nghttp2_session *session, uint8_t flags, int32_t id, uint32_t code), (session, flags, id, code), NGHTTP2_ERR_NOMEM)
FORWARD(void *,  nghttp2_session_get_stream_user_data, (nghttp2_session *session, int32_t id), (session, id), NULL)
FORWARD(int,     nghttp2_session_set_stream_user_data, (nghttp2_session *session, int32_t id, void *data), (session, id, data), NGHTTP2_ERR_NOMEM)
FORWARD(const char *, nghttp2_strerror, (int code), (code), "libnghttp2.so.14 is not installed")
/* clang-format on */
