// One crosshair for every chart: point at a step in one and all show their values at that step.
(() => {
  const left = 42, right = 350, width = 360; // plots.py: LEFT, WIDTH - RIGHT, WIDTH
  const charts = [...document.querySelectorAll(".chart")].map((figure) => ({
    svg: figure.querySelector("svg"),
    cross: figure.querySelector(".cross"),
    at: figure.querySelector(".at"),
    outputs: [...figure.querySelectorAll("output")],
    ...JSON.parse(figure.dataset.points),
  }));
  const nearest = (xs, step) => {
    let low = 0, high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] > step) high = middle; else low = middle;
    }
    return step - xs[low] <= xs[high] - step ? low : high;
  };
  const show = (step) => {
    for (const { cross, at, outputs, steps, series } of charts) {
      const x = left + ((right - left) * (step - steps[0])) / (steps[1] - steps[0]);
      cross.setAttribute("x1", x);
      cross.setAttribute("x2", x);
      cross.style.visibility = at.style.visibility = "visible";
      at.setAttribute("x", x);
      at.textContent = step;
      series.forEach((line, i) => {
        const k = nearest(line.x, step);
        outputs[i].textContent = line.label[k] + (line.x[k] === step ? "" : ` at ${line.x[k]}`);
      });
    }
  };
  const rest = () => {
    for (const { cross, at, outputs, series } of charts) {
      cross.style.visibility = at.style.visibility = "hidden";
      series.forEach((line, i) => { outputs[i].textContent = line.label[line.label.length - 1]; });
    }
  };
  for (const { svg, steps } of charts) {
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * width;
      const share = Math.min(1, Math.max(0, (x - left) / (right - left)));
      show(Math.round(steps[0] + share * (steps[1] - steps[0])));
    });
    svg.addEventListener("pointerleave", rest);
  }
})();
