#pragma once
/* The C interface between Cove and a plugin in a shared object: what both sides agree on, and all of it. Valid C99 and
 * C++.
 *
 * A plugin exports one function:
 *
 *     const cove_plugin_api* cove_plugin_get(uint32_t host_abi_version);
 *
 * It returns a table that stays valid for the life of the process, or NULL when it cannot work with that version.
 *
 * Versions. COVE_PLUGIN_ABI_VERSION changes when something here changes its meaning; host and plugin must have the
 * same. Fields are only ever added at the end of a struct; `struct_bytes` says how much of it the other side knows:
 * nobody reads beyond it.
 *
 * Texts are UTF-8, not terminated by zero, and valid until the call returns. What the plugin gives back is copied
 * during the host's function. No exception may leave a plugin's function; there are no C++ types here.
 *
 * Threads. open and close are called once. begin, preprocess, postprocess, end may be called on any thread, for
 * different requests at the same time; of one request never two at a time. A call that takes longer than `timeout_ms`
 * of the configuration is given up: its result is dropped, and `end` is called when it returns after all. */

#include <stddef.h>
#include <stdint.h>

#define COVE_PLUGIN_ABI_VERSION 1u
#define COVE_PLUGIN_SYMBOL "cove_plugin_get"

typedef struct cove_text {
  const char* data;
  size_t bytes;
} cove_text;

/* Results of calls. */
#define COVE_PLUGIN_PASS 0   /* go on */
#define COVE_PLUGIN_BLOCK 1  /* refuse the prompt, with set_message; end the answer after what was appended */
#define COVE_PLUGIN_FAILED 2 /* set_message says why; on_error of the configuration says what happens */

#define COVE_STAGE_PROMPT 0
#define COVE_STAGE_REASONING 1
#define COVE_STAGE_ANSWER 2

/* What the host does for a plugin. `call` is the last argument of the plugin's function, and is good until that
 * returns. */
typedef struct cove_plugin_host {
  uint32_t struct_bytes;
  uint32_t abi_version;
  /* preprocess: replaces the text with this index. An index that does not exist is ignored. */
  void (*set_text)(void* call, size_t index, const char* data, size_t bytes);
  /* preprocess, chat only: replaces what will stand in front of the system prompt. */
  void (*set_system)(void* call, const char* data, size_t bytes);
  /* postprocess: appends to what is shown in place of the piece. */
  void (*append)(void* call, const char* data, size_t bytes);
  /* Why a prompt is refused, or what failed. */
  void (*set_message)(void* call, const char* data, size_t bytes);
} cove_plugin_host;

typedef struct cove_plugin_request {
  uint32_t struct_bytes;
  cove_text id;    /* x-request-id */
  cove_text route; /* "/v1/chat/completions" */
  cove_text model;
  cove_text identity; /* "key:12" */
  cove_text role;     /* "user", "admin" */
} cove_plugin_request;

typedef struct cove_plugin_input_text {
  cove_text role; /* system, user, assistant, tool, prompt, tool_call, tools */
  cove_text text;
} cove_plugin_input_text;

typedef struct cove_plugin_input {
  uint32_t struct_bytes;
  size_t text_count;
  const cove_plugin_input_text* texts;
  cove_text system;
} cove_plugin_input;

/* The next part of one output text; texts are told apart by text_id. With `last` what was held back has to come out. */
typedef struct cove_plugin_piece {
  uint32_t struct_bytes;
  int32_t stage;
  uint64_t text_id;
  uint32_t choice;
  int32_t last;
  cove_text text;
} cove_plugin_piece;

typedef struct cove_plugin_api {
  uint32_t struct_bytes;
  uint32_t abi_version;
  /* Makes the plugin. NULL = it cannot work; set_message says why, and the server does not start. */
  void* (*open)(const cove_plugin_host* host, cove_text settings, void* call);
  void (*close)(void* plugin);
  /* One request. NULL = failed. */
  void* (*begin)(void* plugin, const cove_plugin_request* request, void* call);
  void (*end)(void* work);
  /* Either may be NULL: then texts pass as they are. */
  int32_t (*preprocess)(void* work, const cove_plugin_input* input, void* call);
  int32_t (*postprocess)(void* work, const cove_plugin_piece* piece, void* call);
} cove_plugin_api;

typedef const cove_plugin_api* (*cove_plugin_get_function)(uint32_t host_abi_version);
