// Sliders between two pictures, the order of a system's photos, and which pictures a slider compares.
"use strict";
document.documentElement.classList.add("js");

function divide(slider, value) {
  const cut = Math.min(100, Math.max(0, value));
  slider.style.setProperty("--cut", `${cut}%`);
}

function startSlider(slider) {
  const range = slider.querySelector("input[type=range]"), stage = slider.querySelector(".stage");
  const move = (event) => {
    const box = stage.getBoundingClientRect();
    range.value = Math.round(100 * (event.clientX - box.left) / box.width);
    divide(slider, range.valueAsNumber);
  };
  divide(slider, range.valueAsNumber);
  range.addEventListener("input", () => divide(slider, range.valueAsNumber));
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    move(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) move(event);
  });
  stage.addEventListener("dragstart", (event) => event.preventDefault());
  for (const select of slider.querySelectorAll("select[data-side]")) {
    const choose = () => {
      const image = stage.querySelector(`.${select.dataset.side}`);
      image.src = select.value;
      image.alt = select.selectedOptions[0].text;
    };
    choose(); // a browser keeps what was chosen before the page was loaded again
    select.addEventListener("change", choose);
  }
}

const ORDERS = {
  worst: (a, b) => a.dataset.gain - b.dataset.gain,
  best: (a, b) => b.dataset.gain - a.dataset.gain,
  differs: (a, b) => b.dataset.differs - a.dataset.differs,
};

function startOrder(select, list) {
  const sort = () => {
    const cases = [...list.children];
    cases.sort((a, b) => ORDERS[select.value](a, b) || a.dataset.place - b.dataset.place);
    list.append(...cases);
  };
  sort();
  select.addEventListener("change", sort);
}

function startSides(select, list) {
  const show = () => { list.dataset.sides = select.value; };
  show();
  select.addEventListener("change", show);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".slider").forEach(startSlider);
  const list = document.getElementById("cases");
  if (!list) return;
  startOrder(document.getElementById("order"), list);
  startSides(document.getElementById("sides"), list);
});
