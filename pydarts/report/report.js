"use strict";
// Without this script the page shows the last epoch. Elements with data-epochs are shown in those
// epochs only; data-weights holds the number of an entry in each epoch, data-kept the epochs in
// which it was part of the cell.
(() => {
  const player = document.getElementById("player");
  const slider = document.getElementById("epoch");
  const button = document.getElementById("play");
  const shown = document.getElementById("shown");
  const first = Number(slider.min);
  const last = Number(slider.max);
  const names = JSON.parse(slider.dataset.names);
  const epochs = (text) => new Set((text || "").split(" ").map(Number));
  const snapshots = Array.from(document.querySelectorAll("[data-epochs]"), (element) => ({
    element,
    epochs: epochs(element.dataset.epochs),
  }));
  const cells = Array.from(document.querySelectorAll("[data-weights]"), (element) => ({
    element,
    weights: element.dataset.weights.split(" "),
    kept: epochs(element.dataset.kept),
  }));
  let timer = 0;

  function show(epoch) {
    slider.value = epoch;
    shown.textContent = names[epoch - first];
    slider.setAttribute("aria-valuetext", names[epoch - first]);
    for (const each of snapshots) each.element.hidden = !each.epochs.has(epoch);
    for (const cell of cells) {
      const weight = cell.weights[epoch - first];
      cell.element.style.setProperty("--w", weight);
      cell.element.textContent = (weight / 10).toFixed(1);
      cell.element.classList.toggle("kept", cell.kept.has(epoch));
    }
    document.body.style.setProperty("--at", (epoch - first) / (last - first));
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
  }

  function play() {
    if (Number(slider.value) === last) show(first);
    timer = setInterval(() => {
      const next = Number(slider.value) + 1;
      show(next);
      if (next === last) stop();
    }, Math.min(600, 20000 / (last - first)));
    button.textContent = "Pause";
  }

  function follow() {
    const asked = /^#epoch=(\d+)$/.exec(location.hash);
    if (!asked) return;
    stop();
    show(Math.min(last, Math.max(first, Number(asked[1]))));
  }

  slider.addEventListener("input", () => {
    stop();
    show(Number(slider.value));
  });
  button.addEventListener("click", () => (timer ? stop() : play()));
  window.addEventListener("hashchange", follow);
  document.body.style.setProperty("--shown", "visible");
  player.hidden = false;
  show(last);
  follow();
})();
