"use strict";
// Shows /openapi.json: every operation with its parameters and answers. No library, nothing from elsewhere.
function element(tag, text, parent) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function resolve(api, schema) {
  if (!schema) return {};
  if (schema.$ref) return resolve(api, schema.$ref.slice(2).split("/").reduce((at, key) => at[key], api));
  if (!schema.allOf) return schema;
  const parts = schema.allOf.map((part) => resolve(api, part));
  return {
    type: "object",
    required: parts.flatMap((part) => part.required || []),
    properties: Object.assign({}, ...parts.map((part) => part.properties)),
  };
}

function typeName(api, schema) {
  const full = resolve(api, schema);
  const many = full.oneOf || full.anyOf;
  if (many) return many.map((one) => typeName(api, one)).join(" or ");
  if (full.const !== undefined) return JSON.stringify(full.const);
  if (full.enum) return full.enum.map((value) => JSON.stringify(value)).join(", ");
  if (full.type === "array") return "array of " + typeName(api, full.items);
  const type = Array.isArray(full.type) ? full.type.join(" or ") : full.type;
  const range = [full.minimum !== undefined ? "from " + full.minimum : "", full.maximum !== undefined ? "to " + full.maximum : ""];
  return [type || "any", ...range].filter(Boolean).join(" ");
}

function showSchema(api, schema, parent) {
  const full = resolve(api, schema);
  if (!full.properties) return;
  const table = element("table", "", parent);
  for (const [name, property] of Object.entries(full.properties)) {
    const row = element("tr", "", table);
    element("code", name + ((full.required || []).includes(name) ? " *" : ""), element("td", "", row));
    element("td", typeName(api, property), row);
    element("td", resolve(api, property).description || property.description || "", row);
  }
}

function showOperation(api, method, path, operation, parent) {
  const details = element("details", "", parent);
  const summary = element("summary", "", details);
  element("code", method.toUpperCase() + " " + path, summary);
  element("span", "  " + (operation.summary || ""), summary);
  if (operation.description) element("p", operation.description, details);
  const body = operation.requestBody && Object.values(operation.requestBody.content)[0];
  if (body) {
    element("h4", "Request", details);
    showSchema(api, body.schema, details);
  }
  for (const [status, answer] of Object.entries(operation.responses)) {
    const full = resolve(api, answer);
    element("h4", status + " " + full.description, details);
    const content = full.content && Object.values(full.content)[0];
    if (content) showSchema(api, content.schema, details);
  }
}

fetch("/openapi.json").then((r) => r.json()).then((api) => {
  document.getElementById("version").textContent = api.info.version;
  const main = document.getElementById("paths");
  element("p", api.info.description, main);
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) showOperation(api, method, path, operation, main);
  }
});
