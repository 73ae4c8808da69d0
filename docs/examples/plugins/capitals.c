/* An example of a plugin in C: answers in capitals. Build: cc -shared -fPIC -I src/services/plugins/sdk -o capitals.so
 * capitals.c */
#include "cove_plugin_abi.h"

static const cove_plugin_host* host;

static void* open_plugin(const cove_plugin_host* given, cove_text settings, void* call) {
  (void)settings;
  (void)call;
  host = given;
  return &host;
}

static void close_plugin(void* plugin) { (void)plugin; }

static void* begin(void* plugin, const cove_plugin_request* request, void* call) {
  (void)request;
  (void)call;
  return plugin; /* nothing is kept per request */
}

static void end(void* work) { (void)work; }

static int32_t postprocess(void* work, const cove_plugin_piece* piece, void* call) {
  (void)work;
  for (size_t i = 0; i < piece->text.bytes; ++i) {
    char c = piece->text.data[i];
    if (c >= 'a' && c <= 'z') c = (char)(c - 'a' + 'A');
    host->append(call, &c, 1);
  }
  return COVE_PLUGIN_PASS;
}

static const cove_plugin_api api = {
    sizeof(cove_plugin_api), COVE_PLUGIN_ABI_VERSION, open_plugin, close_plugin, begin, end, 0, postprocess};

const cove_plugin_api* cove_plugin_get(uint32_t host_abi_version) {
  return host_abi_version == COVE_PLUGIN_ABI_VERSION ? &api : 0;
}
