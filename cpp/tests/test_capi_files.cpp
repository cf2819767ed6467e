// SPDX-License-Identifier: MIT
// What the C API saves comes back, and is whole whatever else happens.
#include <cstring>
#include <filesystem>

#ifdef __linux__
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "capi.hpp"
#include "check.hpp"

namespace fs = std::filesystem;

#ifdef __linux__
namespace {
std::string synced_path, synced;  // what fsync() was called for, while there was a file at that path or not
}

extern "C" int fsync(int file) {
  struct stat status;
  if (fstat(file, &status) == 0) synced += S_ISDIR(status.st_mode) ? "a folder" : "a file";
  synced += std::filesystem::exists(synced_path) ? " with it, " : ", ";
  return int(syscall(SYS_fsync, file));
}
#endif

namespace {

bool has_leftovers(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().u8string();
    if (name[0] == '.' || name.find(".partial") != std::string::npos) return true;
  }
  return false;
}

void files_come_back(const fs::path& folder) {
  const capi::Images train(1);
  capi::Net net, other;
  capi::Optimizer optimizer;
  CHECK(capi::derived(net, capi::runtime()) == PYDARTS_OK);
  CHECK(capi::optimizer(optimizer, net) == PYDARTS_OK);
  CHECK(pydarts_weight_step(optimizer.get(), net.get(), &train.batch, 0.1, nullptr) == PYDARTS_OK);
  const std::string path = (folder / "model.safetensors").u8string();
  CHECK(pydarts_network_save(net.get(), path.c_str()) == PYDARTS_OK);
  CHECK(!has_leftovers(folder));

  CHECK(capi::derived(other, capi::runtime()) == PYDARTS_OK);
  CHECK(capi::state(other) != capi::state(net));
  CHECK(pydarts_network_load(other.get(), path.c_str()) == PYDARTS_OK);
  CHECK(capi::state(other) == capi::state(net));

  CHECK(capi::write((folder / "model.json").u8string(), capi::kDescription));
  pydarts_network* made;
  char message[300] = "";
  CHECK(pydarts_model_load(folder.u8string().c_str(), nullptr, &made, message, sizeof message) == PYDARTS_OK);
  capi::Net model(made);
  CHECK(capi::state(model) == capi::state(net));
  const pydarts_network_info info = capi::info(model);
  CHECK(info.normalization == 1 && info.image_height == 6 && info.image_width == 7);
  const char* labels[] = {"a\xc3\xa9", "7", "true"};
  for (int i = 0; i < 3; ++i) {
    char label[8];
    CHECK(pydarts_network_label(model.get(), i, label, sizeof label, nullptr) == PYDARTS_OK);
    CHECK(std::strcmp(label, labels[i]) == 0);
  }
  const std::uint8_t pixels[] = {0, 255, 3, 4};
  float out[4];
  CHECK(pydarts_normalize_u8(model.get(), 1, 2, 1, 2, pixels, out) == PYDARTS_OK);
  CHECK(out[0] == -3 && out[1] == 507 && out[2] == 0.25 && out[3] == 0.5);
  float raw[] = {0, 255, 3, 4};
  CHECK(pydarts_normalize_f32(model.get(), 1, 2, 1, 2, raw, raw) == PYDARTS_OK);
  CHECK(std::equal(raw, raw + 4, out));
  CHECK(pydarts_normalize_f32(net.get(), 1, 2, 1, 2, raw, raw) == PYDARTS_INVALID_ARGUMENT);
  CHECK(capi::error_is(net, "`network` is not of a model, so it has no normalisation"));

  const pydarts_runtime nonsense = capi::runtime(-1);
  CHECK(pydarts_model_load(folder.u8string().c_str(), &nonsense, &made, nullptr, 0) == PYDARTS_INVALID_ARGUMENT);

  const std::string missing = (folder / "nothing").u8string();
  CHECK(pydarts_network_load(net.get(), missing.c_str()) == PYDARTS_BAD_FILE);
  CHECK(capi::error_is(net, (missing + ": there is no such file").c_str()));
  CHECK(pydarts_network_save(net.get(), (folder / "no" / "file").u8string().c_str()) == PYDARTS_BAD_FILE);
  capi::Net supernet;
  CHECK(capi::supernet(supernet, capi::runtime()) == PYDARTS_OK);
  const auto before = capi::state(supernet);
  CHECK(pydarts_network_load(supernet.get(), path.c_str()) == PYDARTS_BAD_FILE);
  CHECK(capi::state(supernet) == before);
  CHECK(pydarts_model_load(missing.c_str(), nullptr, &made, message, sizeof message) == PYDARTS_BAD_FILE && !made);
}

// Of numbers, whose loss and scale it says.
void a_model_of_another_loss_is_read(const fs::path& folder) {
  pydarts_network* made;
  std::string description = capi::kDescription;
  const std::string version = "\"version\": 1, \"genotype\"",
                    more =
                        "\"version\": 2, \"task\": \"regression\", "
                        "\"loss\": \"huber\", \"huber_delta\": 0.5, \"scale\": {\"mean\": [1, 2, 3], \"std\": [1, 0.5, "
                        "10]}, \"genotype\"";
  description.replace(description.find(version), version.size(), more);
  const std::string weights = capi::content((folder / "model.safetensors").u8string());
  const auto read = [&](const std::string& text) {
    return pydarts_model_read(text.data(), text.size(), weights.data(), weights.size(), nullptr, &made, nullptr, 0);
  };
  CHECK(read(description) == PYDARTS_OK);
  capi::Net model(made);
  CHECK(capi::info(model).loss == PYDARTS_HUBER);
  std::vector<float> values = {0, 1, -1};
  CHECK(pydarts_predictions(model.get(), values.data(), 3, values.data()) == PYDARTS_OK);
  CHECK(values == (std::vector<float>{1, 2.5, -7}));
  pydarts_runtime runtime = capi::runtime();
  runtime.ranks = -3;  // which is no fault of the file
  char message[200];
  CHECK(pydarts_model_read(description.data(), description.size(), weights.data(), weights.size(), &runtime, &made,
                           message, sizeof message) == PYDARTS_INVALID_ARGUMENT);
  CHECK(std::strstr(message, "`runtime->ranks` (=-3)"));
  for (const char* part : {"\"regression\"", "\"huber\"", "[1, 0.5, 10]", "0.5, \"scale\""}) {
    std::string bad = description;
    bad.replace(bad.find(part), std::strlen(part), part[0] == '[' ? "[1]" : part[0] == '0' ? "-1, \"scale\"" : "\"x\"");
    CHECK(read(bad) == PYDARTS_BAD_FILE);
  }
}

#ifdef __linux__
// Two processes that save to one place at once: each succeeds, and what stands there is always whole.
void processes_may_save_at_once(const fs::path& folder) {
  capi::Net net;
  CHECK(capi::derived(net, capi::runtime()) == PYDARTS_OK);
  const std::string path = (folder / "shared.safetensors").u8string();
  CHECK(pydarts_network_save(net.get(), path.c_str()) == PYDARTS_OK);
  std::vector<pid_t> children;
  for (int i = 0; i < 2; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      int failed = 0;
      for (int k = 0; k < 100; ++k) failed += pydarts_network_save(net.get(), path.c_str()) != PYDARTS_OK;
      _exit(failed != 0);
    }
    CHECK(child > 0);
    children.push_back(child);
  }
  for (int k = 0; k < 100; ++k) CHECK(pydarts_network_load(net.get(), path.c_str()) == PYDARTS_OK);
  for (pid_t child : children) {
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
  }
  CHECK(pydarts_network_load(net.get(), path.c_str()) == PYDARTS_OK);
  CHECK(!has_leftovers(folder));
}

// The new file is on the disk before it takes the old one's place, and its name afterwards.
void a_saved_file_is_on_the_disk(const fs::path& folder) {
  capi::Net net;
  CHECK(capi::derived(net, capi::runtime()) == PYDARTS_OK);
  synced_path = (folder / "synced.safetensors").u8string();
  fs::remove(synced_path);
  synced.clear();
  CHECK(pydarts_network_save(net.get(), synced_path.c_str()) == PYDARTS_OK);
  CHECK(synced == "a file, a folder with it, ");
}
#endif

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;  // an empty folder
  files_come_back(argv[1]);
  a_model_of_another_loss_is_read(argv[1]);
#ifdef __linux__
  processes_may_save_at_once(argv[1]);
  a_saved_file_is_on_the_disk(argv[1]);
#endif
  return checked();
}
