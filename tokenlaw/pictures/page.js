// Draws the figures of the page and moves the state with the slider.  Everything it needs stands in the page.
(function () {
  "use strict";
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const page = read("page");
  const scene = document.getElementById("scene");
  const slider = document.getElementById("depth");
  const readout = document.getElementById("readout");
  const pointer = document.getElementById("pointer");
  const play = document.getElementById("play");
  const turn = document.getElementById("turn");
  const calm = { displaylogo: false, responsive: true, displayModeBar: false };
  const overDepth = [];
  let shown = 0, playing = false, turning = false;

  function show(k) {
    shown = k;
    const now = page[k];
    readout.textContent = now.text;
    slider.setAttribute("aria-valuetext", now.text);
    const jobs = [Plotly.animate(scene, [String(k)], {
      mode: "immediate", frame: { duration: 0, redraw: true }, transition: { duration: 0 },
    })];
    for (const panel of overDepth) {
      jobs.push(Plotly.relayout(panel, { "shapes[0].x0": now.depth, "shapes[0].x1": now.depth }));
    }
    return Promise.all(jobs).then(() => { scene.dataset.shown = String(k); });
  }

  // Density under the pointer, a value of the surface.
  function tell(event) {
    const { curveNumber, pointNumber, fullData } = event.points[0];
    if (curveNumber !== 0) { return; }
    const [column, row] = pointNumber, values = fullData.surfacecolor;
    const lat = 90 - 180 * row / (values.length - 1), lon = 360 * column / (values[0].length - 1);
    pointer.textContent = `density ${values[row][column].toPrecision(3)} at latitude ${lat.toFixed(0)}°, longitude ${lon.toFixed(0)}°`;
  }

  // Call when what was asked for is drawn, and a little later: pictures must not pile up where drawing is slow.
  function after(milliseconds, call) {
    const drawn = () => window.setTimeout(call, milliseconds);
    window.requestAnimationFrame(() => window.requestAnimationFrame(drawn));
  }

  function step() {
    if (!playing) { return; }
    slider.value = (shown + 1) % page.length;
    show(Number(slider.value)).then(() => after(250, step));
  }

  function spin() {
    if (!turning) { return; }
    const eye = scene.layout.scene.camera.eye, angle = 0.03;
    Plotly.relayout(scene, {
      "scene.camera.eye.x": eye.x * Math.cos(angle) - eye.y * Math.sin(angle),
      "scene.camera.eye.y": eye.x * Math.sin(angle) + eye.y * Math.cos(angle),
    }).then(() => after(30, spin));
  }

  function press(button, on) {
    button.setAttribute("aria-pressed", String(on));
  }

  const drawn = [];
  for (const place of document.querySelectorAll(".figure")) {
    const figure = read("figure-" + place.id);
    drawn.push(Plotly.newPlot(place, figure.data, figure.layout, calm).then(() => {
      if (figure.frames && figure.frames.length) { return Plotly.addFrames(place, figure.frames); }
    }));
    if (place.dataset.overDepth === "true") { overDepth.push(place); }
  }
  Promise.all(drawn).then(() => {
    if (scene) {
      slider.addEventListener("input", () => show(Number(slider.value)));
      play.addEventListener("click", () => {
        playing = !playing;
        press(play, playing);
        step();
      });
      if (turn) {
        turn.addEventListener("click", () => { turning = !turning; press(turn, turning); spin(); });
        scene.on("plotly_hover", tell);
        scene.on("plotly_unhover", () => { pointer.textContent = ""; });
      }
      return show(Number(slider.value));
    }
  }).then(() => { document.body.dataset.ready = "true"; });
})();
