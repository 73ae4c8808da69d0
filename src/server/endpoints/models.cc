// GET /v1/models and /v1/models/{id}.
#include <fmt/format.h>

#include "base/json_text.h"
#include "server/endpoints/endpoints.h"

namespace cove::server {
namespace {

std::string model_json(const ServedModel& model) {
  const engine::ModelInfo& info = model.engine->model();
  std::string out = R"({"id":)";
  append_json_string(out, model.name);
  out += R"(,"object":"model","created":)";
  append_json_number(out, model.created_s);
  out += R"(,"owned_by":"cove","context_length":)";
  append_json_number(out, info.context_max);
  out += R"(,"max_model_len":)";
  append_json_number(out, info.context_max);
  out += R"(,"family":)";
  append_json_string(out, info.family);
  out += R"(,"parameters":)";
  append_json_number(out, info.parameters);
  out += R"(,"weight_format":)";
  append_json_string(out, info.weight_format);
  out += R"(,"digest":)";
  append_json_string(out, info.digest);
  out += "}";
  return out;
}

}  // namespace

void list_models(Gateway& gateway, const ExchangePtr& exchange) {
  respond(exchange, {.headers = {}, .body = R"({"object":"list","data":[)" + model_json(*gateway.model()) + "]}"});
}

void get_model(Gateway& gateway, const ExchangePtr& exchange) {
  const http::Request& request = exchange->request();
  const auto model = gateway.model();
  const std::string id(path_parameter(*context_of(request).route, request.path));
  if (!model->answers_to(id)) {
    return respond(
        exchange,
        {ApiErrorKind::kModelNotFound,
         fmt::format("the model '{}' does not exist here; this server serves '{}'", id, model->name), "model"});
  }
  respond(exchange, {.headers = {}, .body = model_json(*model)});
}

}  // namespace cove::server
