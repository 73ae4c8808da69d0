#pragma once
// The conformance suite of the operation contract; see README.md. Included by one test file of each backend's test
// program.

#include "compute/conformance/attention_checks.h"
#include "compute/conformance/fixture.h"
#include "compute/conformance/linear_checks.h"
#include "compute/conformance/row_checks.h"
#include "compute/conformance/step_checks.h"
