// SPDX-License-Identifier: MIT
#pragma once

namespace pydarts {

struct Loss {
  double value = 0;  // mean cross-entropy, auxiliary head included
  int correct = 0;   // samples whose largest logit is their label's
};

}  // namespace pydarts
